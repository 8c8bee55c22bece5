"""How far work is, for people: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from cli.output import format_figure, in_order
from ktt_core.pace import Pace
from ktt_core.progress import Progress as ProgressEvent

__all__ = ["ProgressDisplay", "show_duration", "show_figures"]

# What stands before the metrics; and what a validation tells, of all the figures it computes.
_FIRST = ("loss", "train_loss", "pass", "val_loss", "learning_rate", "texts_per_second")
_TOLD = ("loss", "train_loss", "val_loss", "hierarchical_f1", "leaf_accuracy", "calibration_error")


def show_duration(seconds: float) -> str:
    """Show how long something takes: "0:42", "1:07:00"."""
    minutes, left = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def show_figures(metrics: Mapping[str, float]) -> str:
    """Show figures in one line: "loss 0.6931  lr 2.0e-05  1,234 texts/s"."""
    first = [(name, metrics[name]) for name in _FIRST if name in metrics]
    rest = [item for item in in_order(metrics) if item[0] not in _FIRST]
    return "  ".join(_show(name, value) for name, value in [*first, *rest])


def _show(name: str, value: float) -> str:
    if name == "learning_rate":
        return f"lr {value:.1e}"
    if name == "pass":
        return f"pass {value:.0f}"
    if name == "texts_per_second":
        return f"{value:,.0f} texts/s"
    if name == "hierarchical_f1":
        return f"hF1 {format_figure(value)}"
    return f"{name.replace('_', ' ')} {format_figure(value)}"


@dataclass
class _Phase:
    """A phase that was seen: its last event, and its bar if there is one."""

    event: ProgressEvent
    task: TaskID | None = None

    @property
    def done(self) -> bool:
        return self.event.total is not None and self.event.step >= self.event.total


class ProgressDisplay:
    """Shows progress events: bars with the time left on a terminal, a line per phase elsewhere.

    The time left is that of the whole phase: of a training with all the validations that come
    between. What a validation came to is told in a line of its own.

    Parameters
    ----------
    title : str
        What is being worked on; stands before each phase.
    quiet : bool
        Show nothing.
    """

    def __init__(self, title: str = "", quiet: bool = False) -> None:
        self._console = Console(stderr=True)
        self._bars = self._console.is_terminal and not quiet
        self._lines = not self._bars and not quiet
        self._title = title
        self._begin()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[rest]}", markup=False),
            TextColumn("{task.fields[figures]}", markup=False),
            console=self._console,
            disable=not self._bars,
        )

    def _begin(self) -> None:
        self._phases: dict[str, _Phase] = {}
        self._current: str | None = None
        self._pace = Pace()

    def __enter__(self) -> ProgressDisplay:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish()
        self._progress.stop()

    def retitle(self, title: str) -> None:
        """Name what the next events belong to."""
        self._finish()
        self._title = title

    def show(self, event: ProgressEvent) -> None:
        """Show one event."""
        self._pace.see(event)
        if event.phase != self._current:
            self._change_to(event)
        phase = self._phases[event.phase]
        phase.event = event
        if phase.task is not None:
            rest = self._pace.rest(event)
            self._progress.update(
                phase.task,
                completed=event.step,
                total=event.total,
                unit=event.unit,
                rest="" if not rest else f"{show_duration(rest)} left",
                figures="" if event.phase == "validate" else show_figures(event.metrics),
            )
        if event.phase == "validate" and phase.done and event.metrics:
            self._tell_validation(event)

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bars away while something else is on the screen."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def _change_to(self, event: ProgressEvent) -> None:
        before = self._phases.get(self._current) if self._current else None
        known = self._phases.get(event.phase)
        self._current = event.phase
        if known is not None and not known.done:
            # It goes on after something that came between, whose bar has had its time.
            if before is not None and before.task is not None:
                self._progress.remove_task(before.task)
                before.task = None
            return
        if before is not None and before.task is not None and before.done:
            self._progress.stop_task(before.task)
        label = f"{self._title}: {event.phase}" if self._title else event.phase
        self._phases[event.phase] = phase = _Phase(event)
        if self._bars:
            phase.task = self._progress.add_task(
                label, total=event.total, unit="", rest="", figures=""
            )
        elif self._lines and known is None:
            self.say(f"{label} ...")

    def _tell_validation(self, event: ProgressEvent) -> None:
        fit = self._phases.get("fit")
        after = ""
        if fit is not None and fit.event.total:
            after = f" after {fit.event.step:,} of {fit.event.total:,} {fit.event.unit}"
        figures = {name: event.metrics[name] for name in _TOLD if name in event.metrics}
        if (self._bars or self._lines) and figures:
            title = f"{self._title}: " if self._title else ""
            self.say(f"{title}validated{after}: {show_figures(figures)}")

    def _finish(self) -> None:
        for phase in self._phases.values():
            if phase.task is not None:
                self._progress.stop_task(phase.task)
        self._begin()
