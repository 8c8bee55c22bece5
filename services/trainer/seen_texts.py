"""Which rows a model has seen before: their texts are in what it was trained or calibrated on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.labelled import LabelledRows, rows_of_split
from ktt_core.errors import DataError, InvalidArgumentError, NotFoundError
from ktt_core.model import Model
from ktt_core.workspace import Workspace

__all__ = ["find_seen", "training_data"]

#: The splits that a model learns from: its weights, and which state is kept at what temperature.
_LEARNED = ("train", "val")


def training_data(workspace: Workspace, model: Model, dataset: str) -> Dataset | None:
    """Return the dataset that a model was trained on; None if it is not there any more.

    Parameters
    ----------
    workspace : Workspace
    model : Model
    dataset : str
        The name it had then.
    """
    fingerprint = model.record.fingerprint
    try:
        found = workspace.open_dataset(dataset)
    except (DataError, InvalidArgumentError, NotFoundError):
        return None
    # Without a fingerprint, or with another one, its rows are not known to be those of then.
    return found if fingerprint and found.fingerprint == fingerprint else None


def find_seen(rows: LabelledRows, learned_from: Dataset) -> NDArray[np.bool_]:
    """Say which rows have a text of the dataset's train or val split, but for letter case.

    Needs eight bytes for each row of both.
    """
    if rows.fingerprint == learned_from.fingerprint and rows.split is not None:
        # The same import: its splits are apart, but for texts that repeat.
        if rows.split.path.stem in _LEARNED:
            return np.ones(len(rows), dtype=bool)
    hashes = rows.hashes()
    seen = np.zeros(len(rows), dtype=bool)
    for name in _LEARNED:
        if learned_from.sizes[name]:
            seen |= np.isin(hashes, rows_of_split(learned_from, name).hashes())
    return seen
