"""Quality of predictions: a streaming accumulator, and each metric with its formula."""

from __future__ import annotations

from ktt_core.difference import Difference
from ktt_core.metrics.accumulator import (
    METRIC_NAMES,
    CollectedRows,
    MetricsAccumulator,
    compute_metrics,
    make_accumulator,
)
from ktt_core.metrics.bootstrap import bootstrap_difference
from ktt_core.metrics.calibration import (
    UNCALIBRATED,
    VALIDATION_LOSS,
    CalibrationBins,
    LogLoss,
    UncalibratedError,
)
from ktt_core.metrics.counts import (
    ClassCounts,
    count_classes,
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
from ktt_core.metrics.outcomes import Outcomes, PathOutcomes, compare_outcomes, path_outcomes
from ktt_core.metrics.ranking import PairRanking

__all__ = [
    "METRIC_NAMES",
    "UNCALIBRATED",
    "VALIDATION_LOSS",
    "CalibrationBins",
    "ClassCounts",
    "CollectedRows",
    "Difference",
    "LogLoss",
    "MetricsAccumulator",
    "Outcomes",
    "PairRanking",
    "PathOutcomes",
    "UncalibratedError",
    "bootstrap_difference",
    "compare_outcomes",
    "compute_metrics",
    "count_classes",
    "hierarchical_f1",
    "hierarchical_precision",
    "hierarchical_recall",
    "leaf_accuracy",
    "leaf_macro_f1",
    "leaf_precision",
    "make_accumulator",
    "path_accuracy",
    "path_outcomes",
    "path_precision",
]
