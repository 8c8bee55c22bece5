"""The rows of a dataset on which an export is compared with its checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ktt_core.errors import DataError, FailedPreconditionError, NotFoundError
from ktt_core.model import Batch

if TYPE_CHECKING:
    from ktt_core.datasets.dataset import Split

__all__ = ["MAX_ROWS", "parity_split", "spread_rows", "spread_texts"]

#: Maximum number of compared rows, spread over the split.
MAX_ROWS = 4096

# Splits in order of preference: rows that the model was not trained on come first.
_SPLITS = ("test", "val", "train")
_BATCH_ROWS = 4096


def parity_split(workspace: Path, dataset: str) -> tuple[str, Split]:
    """Return the split to compare on: the first of test, val and train that has rows.

    Raises
    ------
    FailedPreconditionError
        If the dataset is gone, damaged or empty.
    """
    from ktt_core.workspace import Workspace

    try:
        opened = Workspace(workspace).open_dataset(dataset)
    except NotFoundError as error:
        raise FailedPreconditionError(
            f"an export is compared with its checkpoint on rows of {dataset!r} before it is "
            "published, and the dataset does not exist any more; import it again"
        ) from error
    except DataError as error:
        raise FailedPreconditionError(
            f"an export is compared with its checkpoint on rows of {dataset!r} before it is "
            f"published, and they cannot be read: {error}"
        ) from error
    for name in _SPLITS:
        split = opened.split(name)
        if split.n_rows:
            return name, split
    raise FailedPreconditionError(
        f"an export is compared with its checkpoint on rows of {dataset!r} before it is "
        "published, and the dataset has none; import it again"
    )


def spread_rows(split: Split, limit: int = MAX_ROWS) -> Iterator[Batch]:
    """Yield up to `limit` rows of a split, evenly spread, since rows may be sorted.

    A batch holds its texts under ``"text"``, and may be empty.
    """
    count = min(limit, split.n_rows)
    wanted = np.arange(count, dtype=np.int64) * split.n_rows // max(1, count)
    start = 0
    for texts, codes in split.iter_batches(_BATCH_ROWS):
        here = wanted[(wanted >= start) & (wanted < start + len(texts))] - start
        yield Batch({"text": [texts[row] for row in here]}, codes[here])
        start += len(texts)


def spread_texts(split: Split, limit: int = MAX_ROWS) -> Iterator[str]:
    """Yield the texts of `spread_rows`, one by one."""
    for batch in spread_rows(split, limit):
        yield from batch.inputs["text"]
