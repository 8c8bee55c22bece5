"""Tables of results, and their figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.printing import printable

__all__ = ["format_figure", "in_order", "print_table"]

Value = TypeVar("Value")


_NO_WRAP = 10_000
# Wider columns with blanks hold texts.
_TEXT_WIDTH = 36


# Maps in messages are unordered.
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
    "texts_cut",
    "tokens_cut",
    "characters_cut",
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
    """Print a table; a column whose name ends in ``>`` is aligned to the right.

    On a terminal, columns of long texts are wrapped at words. Names and figures are never split,
    even if a row is too wide.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    names = [printable(column.removesuffix(">")) for column in columns]
    widths = [max(map(cell_len, column)) for column in zip(names, *cells, strict=True)]
    texts = [
        width > _TEXT_WIDTH and any(" " in row[at] for row in cells)
        for at, width in enumerate(widths)
    ]
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column, name, is_text in zip(columns, names, texts, strict=True):
        table.add_column(
            name,
            justify="right" if column.endswith(">") else "left",
            overflow="fold",
            no_wrap=not is_text,
        )
    for row in cells:
        # Class names are data: "[red]" in one must not become a colour.
        table.add_row(*map(Text, row))
    console = Console(markup=False, highlight=False)
    least = sum(
        min(width, _TEXT_WIDTH) if is_text else width
        for width, is_text in zip(widths, texts, strict=True)
    )
    # In pipes and files each row is one line.
    needed = least + 2 * len(columns) if console.is_terminal else _NO_WRAP
    if needed > console.width:
        console = Console(markup=False, highlight=False, width=needed)
    with console.capture() as captured:
        console.print(table)
    # With terminal styles, which `echo` would print as text.
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))
