"""Getting a split's tf-idf rows, in blocks that fit memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ktt_core.model import Loader
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows

__all__ = ["RowCounter", "block_rows", "gather_rows"]

RowsT = TypeVar("RowsT", bound=Sized)

# Scores held at once, over all classes of a block of rows: 32 MiB of float32.
_BLOCK_CELLS = 2**23
_MAX_BLOCK_ROWS = 4096


class RowCounter:
    """Reports the rows of a phase as they pass.

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
        """Report so many rows more, and hand them on."""
        self.rows += len(rows)
        self.progress(Progress(self.phase, self.rows, self.total, "rows"))
        return rows


def block_rows(taxonomy: Taxonomy) -> int:
    """Return how many rows' scores are worked on at once."""
    return max(1, min(_MAX_BLOCK_ROWS, _BLOCK_CELLS // taxonomy.n_classes))


def gather_rows(
    loader: Loader, transform: Callable[[Sequence[str]], CsrRows]
) -> tuple[CsrRows, NDArray[np.int32]]:
    """Return the tf-idf rows of all batches as one, and their codes, shape (rows, depth).

    Parameters
    ----------
    loader : Loader
        With at least one row.
    transform : callable
        Texts to rows.
    """
    parts, codes = [], []
    for batch in loader:
        parts.append(transform(batch.inputs["text"]))
        codes.append(batch.codes)
    return CsrRows.concatenate(parts, parts[0].n_columns), np.concatenate(codes)
