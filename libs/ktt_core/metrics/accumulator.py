"""All metrics of a split in one pass, over blocks of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding.paths import best_classes, is_path
from ktt_core.decoding.scores import check_levels, class_proba, row_blocks, row_maxima
from ktt_core.errors import DataError, InvalidArgumentError
from ktt_core.labels import Labels
from ktt_core.metrics.calibration import CalibrationBins
from ktt_core.metrics.counts import (
    ClassCounts,
    leaf_accuracy,
    leaf_macro_f1,
    leaf_precision,
    path_accuracy,
    path_precision,
)
from ktt_core.metrics.hierarchical import (
    hierarchical_f1,
    hierarchical_precision,
    hierarchical_recall,
)
from ktt_core.metrics.outcomes import Outcomes
from ktt_core.metrics.ranking import PairRanking

if TYPE_CHECKING:
    from ktt_core.decoding.scores import LevelScores
    from ktt_core.taxonomy import Taxonomy

__all__ = [
    "METRIC_NAMES",
    "CollectedRows",
    "MetricsAccumulator",
    "compute_metrics",
    "make_accumulator",
]

#: Metric names, as in JSON, events, checkpoints and reports.
METRIC_NAMES = (
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
)


# Tolerance for the rounding error of a sum of float32 probabilities.
_SLACK = 1e-2


class MetricsAccumulator:
    """Metrics of a stream of rows, in bounded memory (300 MB at most).

    A row's prediction is its most probable path, as `ktt_core.decoding.decode` gives it without a
    minimal confidence.

    Parameters
    ----------
    taxonomy : Taxonomy
    """

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.counts = ClassCounts.empty(taxonomy)
        self.ranking = PairRanking()
        self.calibration = CalibrationBins()
        self._valid = 0

    def update(
        self,
        leaf_log_proba: NDArray[np.floating],
        codes: Labels | NDArray[np.integer],
        levels: LevelScores | None = None,
    ) -> None:
        """Add rows.

        Parameters
        ----------
        leaf_log_proba : ndarray, shape (n, n_leaves)
            From `ktt_core.decoding.leaf_log_proba`, at the model's temperature.
        codes : Labels, or ndarray of int, shape (n, depth)
            The true paths, level-local.
        levels : sequence of ndarray, optional
            The level scores of the probabilities, for `valid_paths`. Without them, or with leaf
            scores, a level's best class is the one of the highest probability.

        Raises
        ------
        InvalidArgumentError
            If shapes or codes do not match the taxonomy, or a row's probabilities do not sum to 1.
        """
        taxonomy = self.taxonomy
        labels = Labels.of(codes).checked(taxonomy)
        log_proba = np.asarray(leaf_log_proba)
        if log_proba.shape != (len(labels), taxonomy.n_leaves):
            raise InvalidArgumentError(
                f"leaf log-probabilities have the shape {log_proba.shape}, not "
                f"{(len(labels), taxonomy.n_leaves)}"
            )
        arrays = None if levels is None else check_levels(levels, taxonomy)
        if arrays is not None and len(arrays[0]) != len(labels):
            raise InvalidArgumentError(
                f"{len(arrays[0])} rows of level scores for {len(labels)} rows"
            )
        if arrays is not None and len(arrays) != taxonomy.depth:
            arrays = None
        real = np.flatnonzero(~taxonomy.hidden)
        for rows in row_blocks(len(labels), taxonomy.n_classes):
            block = log_proba[rows]
            largest = row_maxima(block, rows.start)
            proba = class_proba(block, taxonomy)
            _check_distribution(
                largest, proba[:, : taxonomy.level_sizes[0]].sum(axis=1), rows.start
            )
            top = block.argmax(axis=1)
            predicted = Labels.of_leaves(top, taxonomy)
            outcomes = Outcomes(labels.select(rows), predicted, taxonomy)
            scores = proba if len(real) == taxonomy.n_classes else proba[:, real]
            self.ranking.update(scores, outcomes.true_scores(proba))
            self.counts.add(outcomes)
            self.calibration.update(
                np.minimum(np.exp(predicted.leaf_values(block)), 1.0), outcomes.right
            )
            best = (
                best_classes(proba, taxonomy)
                if arrays is None
                else [array[rows].argmax(axis=1) for array in arrays]
            )
            self._valid += int(is_path(np.stack(best, axis=1), taxonomy).sum())

    def compute(self) -> dict[str, float]:
        """Return every metric by its name in `METRIC_NAMES`.

        ``valid_paths`` is the share of rows whose best classes, chosen separately on each level,
        form a path of the taxonomy. The other metrics are documented at the functions of their
        names, ``auprc_micro`` at `PairRanking` and ``calibration_error`` at `CalibrationBins`.

        Raises
        ------
        DataError
            If there were no rows.
        """
        counts = self.counts
        return {
            "leaf_accuracy": leaf_accuracy(counts),
            "leaf_precision": leaf_precision(counts),
            "leaf_macro_f1": leaf_macro_f1(counts),
            "path_accuracy": path_accuracy(counts),
            "path_precision": path_precision(counts),
            "hierarchical_precision": hierarchical_precision(counts),
            "hierarchical_recall": hierarchical_recall(counts),
            "hierarchical_f1": hierarchical_f1(counts),
            "auprc_micro": self.ranking.average_precision(),
            "valid_paths": self._valid / counts.rows,
            "calibration_error": self.calibration.error(),
        }


def _check_distribution(
    largest: NDArray[np.floating], sums: NDArray[np.floating], first_row: int
) -> None:
    """Raise InvalidArgumentError for rows of scores instead of log-probabilities."""
    wrong = np.flatnonzero((largest > _SLACK) | (np.abs(sums - 1.0) > _SLACK))
    if wrong.size:
        raise InvalidArgumentError(
            f"the leaf probabilities of row {first_row + wrong[0]} do not sum to 1: pass what "
            "ktt_core.decoding.leaf_log_proba returns, not scores"
        )


def compute_metrics(
    leaf_log_proba: NDArray[np.floating],
    codes: Labels | NDArray[np.integer],
    taxonomy: Taxonomy,
    levels: LevelScores | None = None,
) -> dict[str, float]:
    """Return the metrics of rows in memory; see `MetricsAccumulator`."""
    accumulator = MetricsAccumulator(taxonomy)
    accumulator.update(leaf_log_proba, codes, levels)
    return accumulator.compute()


class CollectedRows:
    """Collects rows for a metrics function that needs them all; used as `MetricsAccumulator`.

    Parameters
    ----------
    function : callable
        ``f(log_proba, codes, taxonomy)``, as `ktt_core.model.Model.get_metrics_func` returns it.
    taxonomy : Taxonomy
    """

    def __init__(self, function: Callable[..., dict[str, float]], taxonomy: Taxonomy) -> None:
        self.function, self.taxonomy = function, taxonomy
        self._log_proba: list[NDArray[np.floating]] = []
        self._labels: list[Labels] = []

    def update(
        self,
        leaf_log_proba: NDArray[np.floating],
        codes: Labels | NDArray[np.integer],
        levels: LevelScores | None = None,
    ) -> None:
        """Keep rows; parameters as in `MetricsAccumulator.update`."""
        self._log_proba.append(leaf_log_proba)
        self._labels.append(Labels.of(codes))

    def compute(self) -> dict[str, float]:
        """Return the function's metrics of all rows; raises DataError if there were none."""
        if not self._labels:
            raise DataError("there are no rows to compute metrics over: the split is empty")
        # The function may be one from outside, which takes plain arrays.
        codes = Labels.concatenate(self._labels).codes
        return self.function(np.concatenate(self._log_proba), codes, self.taxonomy)


def make_accumulator(
    function: Callable[..., dict[str, float]], taxonomy: Taxonomy
) -> MetricsAccumulator | CollectedRows:
    """Return an accumulator for a metrics function over a stream of rows.

    `compute_metrics` keeps no rows; any other function is called once, with all rows.
    """
    if function is compute_metrics:
        return MetricsAccumulator(taxonomy)
    return CollectedRows(function, taxonomy)
