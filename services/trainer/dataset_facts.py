"""Facts about datasets, cached until their files change."""

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
    """Facts about a dataset that requests are checked against.

    Attributes
    ----------
    train_rows, test_rows : int
    n_leaves : int
    fingerprint : str
        Fingerprint of the contents.
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
        As `Workspace.open_dataset`; the field of an invalid name is "dataset".
    """
    with at_field("dataset"):
        check_name(name, "dataset")
    folder = workspace.dataset_folder(name)
    with contextlib.suppress(OSError):
        return _read(folder, _version(folder))
    # A file is missing or inaccessible: the error names it.
    return _facts(workspace.open_dataset(name))


def _version(folder: Path) -> tuple[tuple[int, ...], ...]:
    """Return a key that changes when the files are replaced."""
    found = [os.stat(folder / file) for file in (FILE_NAME, *(f"{s}.parquet" for s in SPLITS))]
    return tuple((file.st_dev, file.st_ino, file.st_mtime_ns, file.st_size) for file in found)


@lru_cache(maxsize=256)
def _read(folder: Path, version: tuple[tuple[int, ...], ...]) -> DatasetFacts:
    return _facts(Dataset.open(folder))


def _facts(dataset: Dataset) -> DatasetFacts:
    sizes = dataset.sizes
    n_leaves = int(dataset.taxonomy.n_leaves)
    return DatasetFacts(sizes["train"], sizes["test"], n_leaves, dataset.fingerprint)
