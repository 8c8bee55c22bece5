"""The rows of a dataset on which an export is compared with its checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.errors import DataError, FailedPreconditionError, NotFoundError

if TYPE_CHECKING:
    from ktt_core.datasets.dataset import Split

__all__ = ["MAX_ROWS", "parity_split", "spread_texts"]

#: Rows that are compared at most, spread over the split.
MAX_ROWS = 4096

# Rows the model has not learned from come first.
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
            "published, and the dataset is not there any more; import it again"
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


def spread_texts(split: Split, limit: int = MAX_ROWS) -> Iterator[str]:
    """Yield up to `limit` texts of a split, evenly spread, so that sorted rows do no harm."""
    count = min(limit, split.n_rows)
    wanted = (number * split.n_rows // count for number in range(count))
    following = next(wanted)
    start = 0
    for texts, _ in split.iter_batches(_BATCH_ROWS):
        while following < start + len(texts):
            yield texts[following - start]
            following = next(wanted, split.n_rows)
        start += len(texts)
