"""The metrics for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from .layout import Layout
from .monitors import MonitorResult
from .state import Snapshot, State

__all__ = ["Metrics"]

#: Classes with a share of their own; all others share one.
_MOST_SHARES = 20
_OTHERS = "(others)"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The metrics of one monitor.

    Parameters
    ----------
    layout : Layout
    state : State
        Its sizes are read with each scrape.
    monitors : tuple of str
    """

    def __init__(self, layout: Layout, state: State, monitors: tuple[str, ...]) -> None:
        # Creation times of counters are not needed, and double the number of samples.
        disable_created_metrics()
        self._layout = layout
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(PLATFORM_COLLECTOR)
        registry.register(GC_COLLECTOR)
        prefix = "ktt_monitoring_"
        self.received = Counter(
            f"{prefix}rows_received_total", "Rows taken into the window.", registry=registry
        )
        self.rejected = Counter(
            f"{prefix}rows_rejected_total",
            "Rows and labels refused, by the reason of the first that is wrong in a request.",
            ["reason"],
            registry=registry,
        )
        self.feedback = Counter(
            f"{prefix}feedback_total",
            "Labels whose row was found (joined) or has not arrived (unknown).",
            ["outcome"],
            registry=registry,
        )
        self.computations = Counter(
            f"{prefix}computations_total",
            "Computations over the window.",
            ["outcome"],
            registry=registry,
        )
        self.duration = Histogram(
            f"{prefix}computation_duration_seconds",
            "Duration of a computation, by monitor.",
            ["monitor"],
            buckets=_SECONDS,
            registry=registry,
        )
        for outcome in ("joined", "unknown"):
            self.feedback.labels(outcome)
        for outcome in ("succeeded", "failed"):
            self.computations.labels(outcome)
        for monitor in monitors:
            self.duration.labels(monitor)
        self._gauge("window_rows", "Rows in the window.").set_function(lambda: state.window_rows)
        self._gauge("reference_rows", "Rows of the reference.").set_function(
            lambda: state.reference_rows
        )
        self._gauge(
            "lag_seconds",
            "Age of the oldest row that no computation has seen; 0 if none, or none is due yet.",
        ).set_function(lambda: state.lag_seconds)
        self._labelled = self._gauge("labelled_rows", "Rows with a label in the last computation.")
        self._last = self._gauge(
            "last_computation_timestamp_seconds", "When the last computation succeeded."
        )
        self._alarm = self._gauge(
            "drift_alarm",
            "1 if the window differs from the reference by more than chance, else 0.",
            "monitor",
        )
        self._drifted = self._gauge("drifted_columns", "Columns that drifted.", "monitor")
        self._columns = self._gauge("columns", "Columns compared.", "monitor")
        self._column_score = self._gauge(
            "column_drift_score",
            "Evidently's score of a column, a p-value: small means drift.",
            "monitor",
            "column",
        )
        self._column_drifted = self._gauge(
            "column_drifted", "1 if the column drifted, else 0.", "monitor", "column"
        )
        self._quality = self._gauge(
            "quality", "Quality on the newest labelled rows.", "monitor", "metric"
        )
        self._share = self._gauge(
            "class_share", "Share of the rows predicted to be of a class.", "class_name", "data"
        )
        self._confidence = self._gauge(
            "confidence_mean", "Mean of the largest score of a row.", "data"
        )
        self._estimated_accuracy = self._gauge(
            "estimated_accuracy", "Accuracy on the window as estimated without labels."
        )

        # Samples shown so far; those without a new value are removed.
        self._shown_quality: dict[str, set[str]] = {}
        self._shown_classes: set[str] = set()

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(f"ktt_monitoring_{name}", help_text, labels, registry=self.registry)

    def exposition(self) -> bytes:
        """Give all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def publish(self, monitor: str, result: MonitorResult | None) -> None:
        """Show the result of a monitor."""
        if result is None:
            return
        if result.alarm is not None:
            self._alarm.labels(monitor).set(result.alarm)
        if result.columns:
            drifted = sum(column.drifted for column in result.columns.values())
            self._drifted.labels(monitor).set(drifted)
            self._columns.labels(monitor).set(len(result.columns))
        for name, column in result.columns.items():
            self._column_score.labels(monitor, name).set(column.score)
            self._column_drifted.labels(monitor, name).set(column.drifted)
        for name in self._shown_quality.get(monitor, set()) - set(result.quality):
            self._quality.remove(monitor, name)
        self._shown_quality[monitor] = set(result.quality)
        for name, value in result.quality.items():
            self._quality.labels(monitor, name).set(value)

    def publish_window(self, snapshot: Snapshot) -> None:
        """Show the metrics of a window that need no monitor."""
        self._labelled.set(len(snapshot.labelled))
        if not self._layout.classes:
            return
        window, reference = snapshot.window, snapshot.reference
        shown = self._shares(window["predicted"], reference["predicted"])
        for name in self._shown_classes - set(shown):
            for data in ("window", "reference"):
                self._share.remove(name, data)
        self._shown_classes = set(shown)
        for name, shares in shown.items():
            for data, share in shares.items():
                self._share.labels(name, data).set(share)
        means = {"window": _mean_confidence(window), "reference": _mean_confidence(reference)}
        for data, mean in means.items():
            self._confidence.labels(data).set(mean)
        labelled = reference[~np.isnan(reference["label"])]
        estimate = means["window"]
        if len(labelled):
            right = float(np.mean(labelled["label"] == labelled["predicted"]))
            estimate = right + means["window"] - _mean_confidence(labelled)
        self._estimated_accuracy.set(min(1.0, max(0.0, estimate)))

    def succeeded(self) -> None:
        """Record that a computation succeeded."""
        self._last.set(time.time())
        self.computations.labels("succeeded").inc()

    def _shares(
        self, window: NDArray[np.float64], reference: NDArray[np.float64]
    ) -> dict[str, Mapping[str, float]]:
        n_classes = len(self._layout.classes)
        shares = {
            data: np.bincount(predicted.astype(np.intp), minlength=n_classes) / len(predicted)
            for data, predicted in (("window", window), ("reference", reference))
        }
        largest = np.argsort(-shares["reference"], kind="stable")[:_MOST_SHARES]
        shown: dict[str, Mapping[str, float]] = {
            self._layout.classes[place]: {data: float(s[place]) for data, s in shares.items()}
            for place in largest
        }
        if n_classes > _MOST_SHARES:
            rest = np.delete(np.arange(n_classes), largest)
            shown[_OTHERS] = {data: float(s[rest].sum()) for data, s in shares.items()}
        return shown


def _mean_confidence(rows: NDArray) -> float:
    return float(rows["drift"][:, -1].mean(dtype=np.float64))
