"""What a request has to know of a dataset, read once as long as its files stay the same."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.hierarchy import FILE_NAME, SPLITS
from ktt_core.fields import at_field
from ktt_core.names import check_name
from ktt_core.workspace import Workspace

__all__ = ["DatasetFacts", "dataset_facts"]


@dataclass(frozen=True)
class DatasetFacts:
    """Whether a dataset can be trained and tested on.

    Attributes
    ----------
    train_rows, test_rows : int
    n_leaves : int
    fingerprint : str
        Of the contents.
    """

    train_rows: int
    test_rows: int
    n_leaves: int
    fingerprint: str


def dataset_facts(workspace: Workspace, name: str) -> DatasetFacts:
    """Return the facts of a dataset.

    Opening one reads its whole taxonomy, which a server must not do again for every job.

    Raises
    ------
    KttError
        As `Workspace.open_dataset`; a name that is none is the field "dataset"'s fault.
    """
    with at_field("dataset"):
        check_name(name, "dataset")
    folder = workspace.dataset_folder(name)
    with contextlib.suppress(OSError):
        return _read(folder, _version(folder))
    # A file is missing or cannot be reached: this says which.
    return _facts(workspace.open_dataset(name))


def _version(folder: Path) -> tuple[tuple[int, ...], ...]:
    """Return what tells the files from those that may later stand in their place."""
    found = [os.stat(folder / file) for file in (FILE_NAME, *(f"{s}.parquet" for s in SPLITS))]
    return tuple((file.st_dev, file.st_ino, file.st_mtime_ns, file.st_size) for file in found)


@lru_cache(maxsize=256)
def _read(folder: Path, version: tuple[tuple[int, ...], ...]) -> DatasetFacts:
    return _facts(Dataset.open(folder))


def _facts(dataset: Dataset) -> DatasetFacts:
    sizes = dataset.sizes
    n_leaves = int(dataset.taxonomy.n_leaves)
    return DatasetFacts(sizes["train"], sizes["test"], n_leaves, dataset.fingerprint)
