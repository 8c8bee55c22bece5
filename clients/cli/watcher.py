"""Display of progress on a terminal or in a log, and handling of Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Literal

from cli.printing import echo
from cli.progress_display import ProgressDisplay
from cli.prompt import ask
from ktt_core.progress import Progress

__all__ = ["TerminalWatcher", "Choice"]

Choice = Literal["watch", "detach", "cancel"]

_CHOICES: dict[str, Choice] = {"d": "detach", "c": "cancel", "w": "watch"}


class TerminalWatcher:
    """Shows progress, and asks what to do after Ctrl-C.

    Parameters
    ----------
    title : str
        Name of the work until `begins` names a run.
    quiet : bool
        Show nothing.
    """

    def __init__(self, title: str = "", quiet: bool = False) -> None:
        self._display = ProgressDisplay(title, quiet)
        self._quiet = quiet
        #: Models and datasets of the started runs.
        self.begun: list[tuple[str, str]] = []

    def __enter__(self) -> TerminalWatcher:
        self._display.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._display.__exit__(kind, error, trace)

    def begins(self, model: str, dataset: str, index: int = 0, total: int = 1) -> None:
        """Set the run of further progress: its number, from 0, and the total."""
        self.begun.append((model, dataset))
        count = f"[{index + 1}/{total}] " if total > 1 else ""
        self._display.retitle(f"{count}{model} on {dataset}")

    def progress(self, event: Progress) -> None:
        """Show the progress of the run."""
        self._display.show(event)

    def notice(self, message: str) -> None:
        """Show a notice, such as a lost connection."""
        if not self._quiet:
            self._display.say(message)

    @property
    def is_watched(self) -> bool:
        """Whether there is a terminal for questions."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, question: str) -> bool:
        """Ask yes or no; the default is no.

        Raises
        ------
        KeyboardInterrupt
            If Ctrl-C comes, or the input ends.
        """
        with self._display.paused():
            return ask(question, {"y": True, "yes": True, "n": False, "no": False}, default="n")

    def ask(self, jobs: Sequence[str]) -> Choice:
        """Ask what to do with running jobs after Ctrl-C.

        A second Ctrl-C, or the end of the input, detaches from the jobs. Without a terminal they
        are cancelled, as Ctrl-C ends work in this process.
        """
        if not self.is_watched:
            return "cancel"
        what = f"job {jobs[0]}" if len(jobs) == 1 else f"{len(jobs)} jobs"
        with self._display.paused():
            try:
                return ask(
                    f"\n{what} at the server: [d]etach and leave running, [c]ancel, or [w]atch on? "
                    "(Ctrl-C again: detach)",
                    _CHOICES,
                    default="d",
                )
            except KeyboardInterrupt:
                echo(err=True)
                return "detach"
