"""Computation of a split's tf-idf rows in blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import TypeVar

from ktt_core.labels import Labels
from ktt_core.model import Loader
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.tfidf.rows import CsrRows

__all__ = ["RowCounter", "gather_rows"]

RowsT = TypeVar("RowsT", bound=Sized)


class RowCounter:
    """Reports the progress of a phase in rows.

    Parameters
    ----------
    progress : callable
    phase : str
    total : int
        Rows of the whole phase.
    """

    def __init__(self, progress: ProgressCallback, phase: str, total: int) -> None:
        self.progress, self.phase, self.total, self.rows = progress, phase, total, 0

    def count(self, rows: RowsT) -> RowsT:
        """Report further rows, and return them."""
        self.rows += len(rows)
        self.progress(Progress(self.phase, self.rows, self.total, "rows"))
        return rows


def gather_rows(
    loader: Loader, transform: Callable[[Sequence[str]], CsrRows]
) -> tuple[CsrRows, Labels]:
    """Return the tf-idf rows of all batches as one, and their labels.

    Parameters
    ----------
    loader : Loader
        With at least one row.
    transform : callable
        Texts to rows.
    """
    parts, labels = [], []
    for batch in loader:
        parts.append(transform(batch.inputs["text"]))
        labels.append(batch.labels)
    return CsrRows.concatenate(parts, parts[0].n_columns), Labels.concatenate(labels)
