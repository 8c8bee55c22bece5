"""What people and scripts see: tables, JSON, progress.

Results go to standard output, all else to standard error.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from ktt_core.progress import Progress as ProgressEvent

__all__ = ["ProgressDisplay", "format_figure", "in_order", "print_json", "print_table"]

Value = TypeVar("Value")


_NO_WRAP = 10_000


def print_json(value: Any) -> None:
    """Print one JSON value."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


# What comes over a wire as a map has lost its order.
_ORDER = (
    "train",
    "val",
    "test",
    "leaf_accuracy",
    "leaf_precision",
    "leaf_macro_f1",
    "path_accuracy",
    "path_precision",
    "hierarchical_precision",
    "hierarchical_recall",
    "hierarchical_f1",
    "auprc_micro",
    "valid_paths",
    "calibration_error",
)


def in_order(values: Mapping[str, Value]) -> list[tuple[str, Value]]:
    """Return splits or metrics in the order of the documentation, others after them by name."""
    known = {name: place for place, name in enumerate(_ORDER)}
    return sorted(values.items(), key=lambda item: (known.get(item[0], len(known)), item[0]))


def format_figure(value: float) -> str:
    """Show a metric with four digits."""
    return f"{value:.4f}"


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None
) -> None:
    """Print a table; a column whose name ends in ``>`` is aligned to the right."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in columns:
        # Class names are data: "[red]" in one must not become a colour.
        table.add_column(
            column.removesuffix(">"),
            justify="right" if column.endswith(">") else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        # Into a pipe or a file a row stays a line, however long.
        console = Console(markup=False, highlight=False, width=_NO_WRAP)
    with console.capture() as captured:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


class ProgressDisplay:
    """Shows progress events: bars with an ETA on a terminal, a line per phase elsewhere.

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
        self._phase: str | None = None
        self._task: TaskID | None = None
        self._started = time.monotonic()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            console=self._console,
            disable=not self._bars,
        )

    def __enter__(self) -> ProgressDisplay:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish_phase()
        self._progress.stop()

    def retitle(self, title: str) -> None:
        """Name what the next events belong to."""
        self._finish_phase()
        self._title = title

    def show(self, event: ProgressEvent) -> None:
        """Show one event."""
        if event.phase != self._phase:
            self._finish_phase()
            self._phase, self._started = event.phase, time.monotonic()
            label = f"{self._title}: {event.phase}" if self._title else event.phase
            if self._bars:
                self._task = self._progress.add_task(label, total=event.total, unit="", figures="")
            elif self._lines:
                self._console.print(f"{label} ...", markup=False, highlight=False)
        if self._task is not None:
            figures = "  ".join(
                f"{name} {format_figure(value)}" for name, value in event.metrics.items()
            )
            self._progress.update(
                self._task,
                completed=event.step,
                total=event.total,
                unit=event.unit,
                figures=figures,
            )

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        self._console.print(message, markup=False, highlight=False)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bars away while something else is on the screen."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def _finish_phase(self) -> None:
        if self._task is not None:
            self._progress.stop_task(self._task)
            self._task = None
        self._phase = None
