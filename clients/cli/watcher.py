"""Progress of work on a terminal or in a log, and what Ctrl-C means there."""

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
    """Shows how far work is, and asks what to do when Ctrl-C comes.

    Parameters
    ----------
    title : str
        What is being worked on, until `begins` names a run.
    quiet : bool
        Show nothing.
    """

    def __init__(self, title: str = "", quiet: bool = False) -> None:
        self._display = ProgressDisplay(title, quiet)
        self._quiet = quiet
        #: Models and datasets of the runs that have begun.
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
        """Name the run that the next progress is of: which (from 0) of how many."""
        self.begun.append((model, dataset))
        count = f"[{index + 1}/{total}] " if total > 1 else ""
        self._display.retitle(f"{count}{model} on {dataset}")

    def progress(self, event: Progress) -> None:
        """Show how far the run is."""
        self._display.show(event)

    def notice(self, message: str) -> None:
        """Say something that is neither progress nor a result, such as a lost connection."""
        if not self._quiet:
            self._display.say(message)

    @property
    def is_watched(self) -> bool:
        """Whether there is a terminal for a question."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def confirm(self, question: str) -> bool:
        """Ask yes or no; no unless told otherwise.

        Raises
        ------
        KeyboardInterrupt
            If Ctrl-C comes, or the input ends.
        """
        with self._display.paused():
            return ask(question, {"y": True, "yes": True, "n": False, "no": False}, default="n")

    def ask(self, jobs: Sequence[str]) -> Choice:
        """Ask what is to become of running jobs after Ctrl-C.

        A second Ctrl-C, and the end of the input, leave the jobs alone. Without a terminal to ask
        on they are cancelled, as Ctrl-C would end work in this process.
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
