"""The data of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.datasets.dataset import Split
from ktt_core.diagnostics import SplitDiagnostics
from ktt_core.taxonomy import Taxonomy

__all__ = ["ReportData", "count_leaf_rows"]


@dataclass(frozen=True)
class ReportData:
    """Data of one training run.

    Attributes
    ----------
    dataset, model : str
        Names.
    taxonomy : Taxonomy
    split_rows : mapping of str to int
        Rows of "train", "val" and "test".
    train_rows : ndarray of int, shape (n_leaves,)
        Training rows of each leaf; see `count_leaf_rows`.
    config : mapping
        All hyperparameters, as JSON values.
    defaults : mapping
        Default hyperparameters.
    metrics : mapping
        Per split ("val", "test"), metrics by their names in `ktt_core.metrics`.
    diagnostics : SplitDiagnostics or None
        None if neither test nor validation split has rows, or the model has no scores.
    split : str
        Split of the diagnostics.
    history : sequence of mapping
        The run's progress, as `ktt_core.checkpoints.record.RunRecord` has it: numbers by name.
    checkpoint : str
        File name of the checkpoint.
    started : str
        Start of the run, UTC.
    seconds : float
        Duration from the start to this report.
    device : str
        Device of the run.
    fingerprint : str
        Fingerprint of the dataset.
    versions : mapping of str to str
        Versions of the packages that computed the weights.
    warnings : sequence of str
        Further warnings, without a full stop.
    """

    dataset: str
    model: str
    taxonomy: Taxonomy
    split_rows: Mapping[str, int]
    train_rows: NDArray[np.integer]
    config: Mapping[str, Any]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    diagnostics: SplitDiagnostics | None = None
    split: str = "test"
    history: Sequence[Mapping[str, Any]] = ()
    checkpoint: str = ""
    started: str = ""
    seconds: float = 0.0
    device: str = ""
    fingerprint: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def count_leaf_rows(split: Split) -> NDArray[np.int64]:
    """Return the number of a split's rows of each leaf, shape (n_leaves,). Reads no texts."""
    return split.labels().rows_per_class(split.taxonomy)[-1]
