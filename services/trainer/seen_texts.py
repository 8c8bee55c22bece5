"""Detection of rows whose texts a model was trained or calibrated on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.labelled import LabelledRows, rows_of_split
from ktt_core.errors import DataError, InvalidArgumentError, NotFoundError
from ktt_core.model import Model
from ktt_core.workspace import Workspace

__all__ = ["find_seen", "training_data"]

#: Splits that determine a model: its weights, its best state and its temperature.
_LEARNED = ("train", "val")


def training_data(workspace: Workspace, model: Model, dataset: str) -> Dataset | None:
    """Return the dataset that a model was trained on; None if it does not exist any more.

    Parameters
    ----------
    workspace : Workspace
    model : Model
    dataset : str
        Its name at that time.
    """
    fingerprint = model.record.fingerprint
    try:
        found = workspace.open_dataset(dataset)
    except (DataError, InvalidArgumentError, NotFoundError):
        return None
    # Without an equal fingerprint, its rows may have changed since.
    return found if fingerprint and found.fingerprint == fingerprint else None


def find_seen(rows: LabelledRows, learned_from: Dataset) -> NDArray[np.bool_]:
    """Return which rows have a text of the dataset's train or val split, ignoring case.

    Needs eight bytes for each row of both.
    """
    if rows.fingerprint == learned_from.fingerprint and rows.split is not None:
        # The same import: its splits are disjoint except for repeated texts.
        if rows.split.path.stem in _LEARNED:
            return np.ones(len(rows), dtype=bool)
    hashes = rows.hashes()
    seen = np.zeros(len(rows), dtype=bool)
    for name in _LEARNED:
        if learned_from.sizes[name]:
            seen |= np.isin(hashes, rows_of_split(learned_from, name).hashes())
    return seen
