"""The five monitors: the columns that each compares, and its alarm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact, mannwhitneyu

from .layout import Layout
from .permutation import ks_threshold
from .state import Snapshot
from .ties import merge_near_ties

__all__ = ["ColumnDrift", "MonitorResult", "run_monitor"]

#: Classes that Evidently evaluates one by one; with more it takes minutes.
MOST_CLASSES = 100


@dataclass(frozen=True)
class ColumnDrift:
    """Result for one column: Evidently's score, and whether the column drifted."""

    score: float
    drifted: bool


@dataclass(frozen=True)
class MonitorResult:
    """Result of one monitor.

    Parameters
    ----------
    alarm : bool, optional
        None without a comparison.
    columns : dict of str to ColumnDrift
    quality : dict of str to float
    widgets : list
        Evidently's widgets for the report.
    """

    alarm: bool | None
    columns: Mapping[str, ColumnDrift] = field(default_factory=dict)
    quality: Mapping[str, float] = field(default_factory=dict)
    widgets: list[Any] = field(default_factory=list)


def run_monitor(
    monitor: str, snapshot: Snapshot, layout: Layout, rate: float, reports: ModuleType
) -> MonitorResult | None:
    """Run a monitor by its name.

    Parameters
    ----------
    monitor : str
        One of `settings.MONITORS`.
    snapshot : Snapshot
    layout : Layout
    rate : float
        Allowed share of alarms among windows without drift.
    reports : module
        The module `reports`, which is imported late.

    Returns
    -------
    MonitorResult or None
        None while the labels it needs are missing.
    """
    return _MONITORS[monitor](snapshot, layout, rate, reports)


def _data_drift(
    snapshot: Snapshot, layout: Layout, rate: float, reports: ModuleType
) -> MonitorResult | None:
    if not layout.drift_columns:
        return None
    reference, window = merge_near_ties(snapshot.reference["drift"], snapshot.window["drift"])
    threshold = ks_threshold(reference, window, rate)
    found = reports.numeric_drift(reference, window, layout.drift_columns, threshold)
    return _drift(snapshot, found.values, threshold, found.widgets)


def _cat_target_drift(
    snapshot: Snapshot, layout: Layout, rate: float, reports: ModuleType
) -> MonitorResult | None:
    columns = {"prediction": (snapshot.reference["predicted"], snapshot.window["predicted"])}
    reference_labels = _labelled_rows(snapshot.reference)["label"]
    if len(snapshot.labelled) and len(reference_labels):
        columns["target"] = (reference_labels, snapshot.labelled["label"])
    # Bonferroni correction over the columns.
    threshold = rate / len(columns)
    values: dict[str, float] = {}
    widgets: list[Any] = []
    for name, (reference, current) in columns.items():
        found = reports.class_drift(layout.names(reference), layout.names(current), name, threshold)
        values.update(found.values)
        widgets += found.widgets
    return _drift(snapshot, values, threshold, widgets)


def _classification(
    snapshot: Snapshot, layout: Layout, rate: float, reports: ModuleType
) -> MonitorResult | None:
    labelled = snapshot.labelled
    if not len(labelled):
        return None
    found = reports.class_quality(
        layout.names(labelled["label"]), layout.names(labelled["predicted"])
    )
    reference = _labelled_rows(snapshot.reference)
    alarm = None
    if len(reference):
        table = [_wrong_and_right(labelled), _wrong_and_right(reference)]
        alarm = bool(fisher_exact(table, alternative="greater").pvalue <= rate)
    return MonitorResult(alarm, quality=found.values, widgets=found.widgets)


def _prob_classification(
    snapshot: Snapshot, layout: Layout, rate: float, reports: ModuleType
) -> MonitorResult | None:
    labelled = snapshot.labelled
    if not len(labelled):
        return None
    labelled = _with_few_classes(labelled)
    occurring = np.unique(labelled["label"]).astype(np.intp)
    found = reports.probability_quality(
        layout.names(labelled["label"]), labelled["scores"][:, occurring], layout.names(occurring)
    )
    # On probabilities of the true class, rounding errors of losses near 0 remain distinguishable.
    alarm = _losses_increased(snapshot, rate, lambda losses: -np.exp(-losses))
    return MonitorResult(alarm, quality=found.values, widgets=found.widgets)


def _regression(
    snapshot: Snapshot, layout: Layout, rate: float, reports: ModuleType
) -> MonitorResult | None:
    labelled = snapshot.labelled
    if not len(labelled):
        return None
    found = reports.regression_quality(labelled["label"], labelled["predicted"])
    alarm = _losses_increased(snapshot, rate, lambda losses: losses)
    return MonitorResult(alarm, quality=found.values, widgets=found.widgets)


_MONITORS: dict[str, Callable[[Snapshot, Layout, float, ModuleType], MonitorResult | None]] = {
    "data_drift": _data_drift,
    "cat_target_drift": _cat_target_drift,
    "classification_performance": _classification,
    "prob_classification_performance": _prob_classification,
    "regression_performance": _regression,
}


def _drift(
    snapshot: Snapshot, values: Mapping[str, float], threshold: float, widgets: list[Any]
) -> MonitorResult:
    columns = {
        name: ColumnDrift(score, drifted=score <= threshold) for name, score in values.items()
    }
    drifted = any(column.drifted for column in columns.values())
    # The reference's own rows in the window are not evidence of drift; the last rows of a sorted
    # test split may all be of one class.
    alarm = drifted and not snapshot.window["seeded"].any()
    return MonitorResult(bool(alarm), columns, widgets=widgets)


def _labelled_rows(rows: NDArray) -> NDArray:
    return rows[~np.isnan(rows["label"])]


def _wrong_and_right(rows: NDArray) -> list[int]:
    right = int(np.sum(rows["label"] == rows["predicted"]))
    return [len(rows) - right, right]


def _losses_increased(
    snapshot: Snapshot, rate: float, scale: Callable[[NDArray], NDArray]
) -> bool | None:
    """Whether the labelled rows' losses exceed the reference's (Mann-Whitney U test).

    The test uses ranks only. `scale` is monotonic, and maps losses to a scale on which those that
    differ by rounding are close to each other.
    """
    reference = snapshot.reference["loss"]
    reference = reference[~np.isnan(reference)]
    if not len(reference):
        return None
    ours, theirs = merge_near_ties(
        scale(snapshot.labelled["loss"])[:, np.newaxis], scale(reference)[:, np.newaxis]
    )
    return bool(mannwhitneyu(ours[:, 0], theirs[:, 0], alternative="greater").pvalue <= rate)


def _with_few_classes(labelled: NDArray) -> NDArray:
    """Give the longest run of newest rows with at most `MOST_CLASSES` true classes."""
    seen: set[float] = set()
    for place in range(len(labelled) - 1, -1, -1):
        seen.add(labelled["label"][place])
        if len(seen) > MOST_CLASSES:
            return labelled[place + 1 :]
    return labelled
