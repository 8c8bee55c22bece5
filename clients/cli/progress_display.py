"""Display of progress: bars on a terminal, occasional lines elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time
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
from cli.printing import printable
from ktt_core.cut_texts import SETTINGS, TEXTS_CUT
from ktt_core.eta import EtaEstimator
from ktt_core.progress import Progress as ProgressEvent

__all__ = ["LONGEST_SILENCE", "ProgressDisplay", "show_duration", "show_figures"]

#: Maximum seconds between lines in a log.
LONGEST_SILENCE = 28.0

# Figures before the metrics, and the metrics shown for a validation.
_FIRST = ("loss", "train_loss", "pass", "val_loss", "learning_rate", "texts_per_second")
_TOLD = ("loss", "train_loss", "val_loss", "hierarchical_f1", "leaf_accuracy", "calibration_error")


def show_duration(seconds: float) -> str:
    """Format a duration: "0:42", "1:07:00"."""
    minutes, left = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def show_figures(metrics: Mapping[str, float]) -> str:
    """Format figures in one line: "loss 0.6931  lr 2.0e-05  1,234 texts/s"."""
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


def _show_cut(metrics: Mapping[str, float]) -> str:
    said = f"{metrics[TEXTS_CUT]:.1%} of the texts are cut"
    for unit, setting in SETTINGS.items():
        if (share := metrics.get(f"{unit}_cut")) is not None:
            said += f", {share:.1%} of all {unit}"
        if (wanted := metrics.get(f"wanted_{setting}")) is not None:
            said += f" (--set {setting}={wanted:.0f} reads more)"
    return said


@dataclass
class _Phase:
    """A phase: its last event, its start, and its bar if there is one."""

    event: ProgressEvent
    began: float
    task: TaskID | None = None

    @property
    def done(self) -> bool:
        return self.event.total is not None and self.event.step >= self.event.total


class ProgressDisplay:
    """Shows progress events: bars with the time left on a terminal, lines elsewhere.

    There is a line at the start of each phase, and one after `LONGEST_SILENCE` seconds without
    output: the progress and the time left, or the time so far. The time left is that of the whole
    phase, for a training including validations. Results of validations have separate lines.

    Parameters
    ----------
    title : str
        Name of the work, shown before each phase.
    quiet : bool
        Show nothing.
    silence : float
        Overrides `LONGEST_SILENCE`.
    """

    def __init__(
        self, title: str = "", quiet: bool = False, silence: float = LONGEST_SILENCE
    ) -> None:
        self._console = Console(stderr=True)
        self._bars = self._console.is_terminal and not quiet
        self._lines = not self._bars and not quiet
        self._title = title
        self._silence = silence
        # Events may come from several threads.
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._said_last = time.monotonic()
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
        self._began = time.monotonic()
        self._eta = EtaEstimator()

    def __enter__(self) -> ProgressDisplay:
        self._progress.start()
        if self._lines:
            self._thread = threading.Thread(target=self._break_silence, name="progress")
            self._thread.daemon = True
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._finish()
        self._progress.stop()

    def retitle(self, title: str) -> None:
        """Set the title of further events."""
        with self._lock:
            self._finish()
            self._title = title

    def show(self, event: ProgressEvent) -> None:
        """Show one event."""
        with self._lock:
            self._show(event)

    def _show(self, event: ProgressEvent) -> None:
        if TEXTS_CUT in event.metrics:
            # A result, not a step of a phase.
            if self._bars or self._lines:
                self.say(self._labelled(_show_cut(event.metrics)))
            return
        self._eta.update(event)
        if event.phase != self._current:
            self._change_to(event)
        phase = self._phases[event.phase]
        phase.event = event
        if phase.task is not None:
            rest = self._eta.remaining(event)
            self._progress.update(
                phase.task,
                completed=event.step,
                total=event.total,
                unit=event.unit,
                rest="" if not rest else f"{show_duration(rest)} left",
                figures="" if event.phase == "validate" else printable(show_figures(event.metrics)),
            )
        if event.phase == "validate" and phase.done and event.metrics:
            self._tell_validation(event)

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        with self._lock:
            self._console.print(printable(message), markup=False, highlight=False, soft_wrap=True)
            self._said_last = time.monotonic()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Hide the bars in the body."""
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
            # The phase continues after another one, whose bar is removed.
            if before is not None and before.task is not None:
                self._progress.remove_task(before.task)
                before.task = None
            return
        if before is not None and before.task is not None and before.done:
            self._progress.stop_task(before.task)
        label = self._labelled(event.phase)
        self._phases[event.phase] = phase = _Phase(event, time.monotonic())
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
            self.say(self._labelled(f"validated{after}: {show_figures(figures)}"))

    def _labelled(self, text: str) -> str:
        return printable(f"{self._title}: {text}" if self._title else text)

    def _break_silence(self) -> None:
        """Print progress lines after silences, until the end."""
        while True:
            with self._lock:
                left = self._said_last + self._silence - time.monotonic()
                if left <= 0:
                    self.say(self._labelled(self._standing()))
                    left = self._silence
            if self._ended.wait(left):
                return

    def _standing(self) -> str:
        """Describe the current phase: "fit 1,200 of 5,000 steps, 12:30 left  loss 0.5000"."""
        phase = self._phases.get(self._current) if self._current else None
        if phase is None:
            return f"working, {show_duration(time.monotonic() - self._began)} so far"
        event = phase.event
        total = f" of {event.total:,}" if event.total is not None else ""
        step = f" {event.step:,}{total} {event.unit}" if event.step or total else ""
        rest = self._eta.remaining(event)
        if rest:
            when = f"{show_duration(rest)} left"
        else:
            when = f"{show_duration(time.monotonic() - phase.began)} so far"
        figures = show_figures(event.metrics)
        return f"{event.phase}{step}, {when}{f'  {figures}' if figures else ''}"

    def _finish(self) -> None:
        for phase in self._phases.values():
            if phase.task is not None:
                self._progress.stop_task(phase.task)
        self._begin()
