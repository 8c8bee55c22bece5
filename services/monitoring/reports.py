"""Calls of Evidently. Importing it takes seconds: import this module late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from evidently import (
    BinaryClassification,
    DataDefinition,
    Dataset,
    MulticlassClassification,
    Report,
)
from evidently import Regression as RegressionTask
from evidently.core.metric_types import render_widgets
from evidently.legacy.calculations.stattests import StatTest, register_stattest
from evidently.legacy.core import ColumnType
from evidently.legacy.renderers.html_widgets import CounterData, counter, group_widget
from evidently.metrics import (
    MAE,
    RMSE,
    AbsMaxError,
    Accuracy,
    F1Score,
    LogLoss,
    MeanError,
    Precision,
    R2Score,
    Recall,
    RocAuc,
    ValueDrift,
)
from numpy.typing import NDArray

from .permutation import class_shift_p_value

__all__ = [
    "CLASS_SHIFT",
    "EvidentlyResult",
    "class_drift",
    "class_quality",
    "numeric_drift",
    "probability_quality",
    "regression_quality",
    "render",
]

#: The name of `permutation.class_shift_p_value` among Evidently's drift methods.
CLASS_SHIFT = "ktt_class_shift"

_COUNTERS_IN_A_ROW = 3
# With two classes Evidently treats one as the positive class.
_FEWEST_MULTICLASS = 3

_CLASS_METRICS = {
    "accuracy": Accuracy,
    "precision": Precision,
    "recall": Recall,
    "f1": F1Score,
}


@dataclass(frozen=True)
class EvidentlyResult:
    """Result of Evidently.

    Parameters
    ----------
    values : dict of str to float
        By column, or by metric, without those that Evidently could not compute.
    widgets : list
        Widgets for the report.
    """

    values: dict[str, float]
    widgets: list[Any]


def numeric_drift(
    reference: NDArray[np.floating],
    window: NDArray[np.floating],
    columns: Sequence[str],
    threshold: float,
) -> EvidentlyResult:
    """Compare numeric columns by the Kolmogorov-Smirnov test; values are its p-values.

    Parameters
    ----------
    reference, window : ndarray, shapes (n, k) and (w, k)
    columns : k names
    threshold : float
        Evidently calls a column drifted whose p-value is at most this.
    """
    shown = _shown(columns)
    frames = [pd.DataFrame(a.astype(np.float64), columns=shown) for a in (window, reference)]
    definition = DataDefinition(numerical_columns=shown)
    metrics = [ValueDrift(column=name, method="ks", threshold=threshold) for name in shown]
    window_frame, reference_frame = frames
    return _run(metrics, columns, definition, window_frame, reference_frame, smallest_first=True)


def class_drift(
    reference: Sequence[str], window: Sequence[str], column: str, threshold: float
) -> EvidentlyResult:
    """Compare class frequencies; the value is the p-value of `CLASS_SHIFT`."""
    frames = [pd.DataFrame({column: _shown_values(names)}) for names in (window, reference)]
    definition = DataDefinition(categorical_columns=[column])
    metric = ValueDrift(column=column, method=CLASS_SHIFT, threshold=threshold)
    return _run([metric], [column], definition, *frames)


def class_quality(target: Sequence[str], predicted: Sequence[str]) -> EvidentlyResult:
    """Give accuracy, and precision, recall and F1 as macro means over the classes that occur."""
    frame = pd.DataFrame({"target": _shown_values(target), "prediction": _shown_values(predicted)})
    occurring = sorted(set(frame["target"]) | set(frame["prediction"]))
    columns = ["target", "prediction"]
    if len(occurring) != 2:
        task = MulticlassClassification(target="target", prediction_labels="prediction")
        definition = DataDefinition(categorical_columns=columns, classification=[task])
        metrics = [metric() for metric in _CLASS_METRICS.values()]
        return _run(metrics, list(_CLASS_METRICS), definition, frame, None)
    # Evidently evaluates two classes as positive and negative; each class is the positive in turn.
    tasks = [
        BinaryClassification(
            name=name, target="target", prediction_labels="prediction", pos_label=name
        )
        for name in occurring
    ]
    definition = DataDefinition(categorical_columns=columns, classification=tasks)
    keys = [(metric, name) for name in occurring for metric in _CLASS_METRICS]
    metrics = [_CLASS_METRICS[metric](classification_name=name) for metric, name in keys]
    result = _run(metrics, [f"{metric} {name}" for metric, name in keys], definition, frame, None)
    means = {}
    for metric in _CLASS_METRICS:
        values = [result.values.get(f"{metric} {name}", np.nan) for name in occurring]
        if np.isfinite(values).all():
            means[metric] = float(np.mean(values))
    return EvidentlyResult(means, result.widgets)


def probability_quality(
    target: Sequence[str], scores: NDArray[np.floating], classes: Sequence[str]
) -> EvidentlyResult:
    """Give the log loss of class probabilities, and their ROC AUC.

    The AUC is the mean over the classes, one against the rest; it needs three classes.

    Parameters
    ----------
    target : n names
    scores : ndarray, shape (n, k)
    classes : k names
        Those that occur in `target`. The rest of a row's probability up to 1 is for other classes.
    """
    scores = scores.astype(np.float64)
    # As one column, which does not change the loss of the true class. A second, empty one, as
    # Evidently would take two classes for positive and negative.
    rest = np.clip(1.0 - scores.sum(axis=1), 0.0, None)
    padded = np.column_stack([scores, rest, np.zeros(len(scores))])
    columns = [*classes, "(others)", "(none)"]
    loss = _probabilities(target, padded, columns, {"log_loss": LogLoss()})
    if len(classes) < _FEWEST_MULTICLASS:
        return loss
    area = _probabilities(target, scores, classes, {"roc_auc": RocAuc(roc_curve=False)})
    return EvidentlyResult({**loss.values, **area.values}, loss.widgets + area.widgets)


def _probabilities(
    target: Sequence[str],
    scores: NDArray[np.floating],
    classes: Sequence[str],
    metrics: dict[str, Any],
) -> EvidentlyResult:
    shown = _shown(["target", *classes])
    names = dict(zip(classes, shown[1:], strict=True))
    frame = pd.DataFrame(scores, columns=shown[1:])
    frame[shown[0]] = [names[name] for name in target]
    task = MulticlassClassification(target=shown[0], prediction_probas=shown[1:])
    definition = DataDefinition(
        categorical_columns=shown[:1], numerical_columns=shown[1:], classification=[task]
    )
    return _run(list(metrics.values()), list(metrics), definition, frame, None)


def regression_quality(
    target: NDArray[np.floating], estimate: NDArray[np.floating]
) -> EvidentlyResult:
    """Give the mean, mean absolute, root mean square and largest error, and R squared."""
    frame = pd.DataFrame({"target": target, "prediction": estimate})
    definition = DataDefinition(
        numerical_columns=["target", "prediction"],
        regression=[RegressionTask(target="target", prediction="prediction")],
    )
    metrics = [MeanError(), MAE(), RMSE(), R2Score(), AbsMaxError()]
    names = ["mean_error", "mae", "rmse", "r2", "largest_error"]
    return _run(metrics, names, definition, frame, None)


def render(summary: Mapping[str, str], parts: Mapping[str, list[Any]]) -> str:
    """Render the report as one page, which loads nothing from other hosts."""
    counters = [CounterData(label, value) for label, value in summary.items()]
    # Few counters per row, so that long names fit.
    rows = range(0, len(counters), _COUNTERS_IN_A_ROW)
    widgets = [counter(title="", counters=counters[row : row + _COUNTERS_IN_A_ROW]) for row in rows]
    widgets += [group_widget(title=title, widgets=part) for title, part in parts.items() if part]
    return str(render_widgets(widgets))


def _run(
    metrics: list[Any],
    names: Sequence[str],
    definition: DataDefinition,
    current: pd.DataFrame,
    reference: pd.DataFrame | None,
    smallest_first: bool = False,
) -> EvidentlyResult:
    """Compute metrics with Evidently; `smallest_first` sorts their widgets by value."""
    snapshot = Report(metrics).run(
        Dataset.from_pandas(current, definition),
        None if reference is None else Dataset.from_pandas(reference, definition),
    )
    found = [metric["value"] for metric in snapshot.dict()["metrics"]]
    # Errors come as mean and standard deviation.
    numbers = [float(value["mean"] if isinstance(value, dict) else value) for value in found]
    values = {
        name: number for name, number in zip(names, numbers, strict=True) if np.isfinite(number)
    }
    items = list(snapshot._snapshot_item)
    if smallest_first:
        # A stable sort, with NaN last.
        items = [items[place] for place in np.argsort(numbers, kind="stable")]
    return EvidentlyResult(values, [widget for item in items for widget in item.widgets])


def _shown_values(names: Sequence[str]) -> list[str]:
    return [_without_markup(name) for name in names]


def _shown(names: Sequence[str]) -> list[str]:
    """Make column names displayable and unique."""
    shown: dict[str, None] = {}
    for name in names:
        name = _without_markup(name)
        while name in shown:
            name += "'"
        shown[name] = None
    return list(shown)


def _without_markup(name: str) -> str:
    # Evidently does not escape names in scripts: one with "</script>" would end the script.
    return name.replace("<", "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}")


def _class_shift(
    reference: pd.Series, current: pd.Series, kind: ColumnType, threshold: float
) -> tuple[float, bool]:
    codes, _ = pd.factorize(pd.concat([reference, current], ignore_index=True), sort=True)
    p_value = class_shift_p_value(codes[: len(reference)], codes[len(reference) :])
    return p_value, p_value <= threshold


register_stattest(
    StatTest(
        name=CLASS_SHIFT,
        display_name="G test by permutation, p_value",
        allowed_feature_types=[ColumnType.Categorical],
    ),
    _class_shift,
)
