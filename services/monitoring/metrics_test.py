"""Metrics of a window, and removal of samples without a current value."""

from __future__ import annotations

import shutil
import subprocess
from typing import cast

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.layout import LabelKind, Layout
from monitoring.metrics import Metrics
from monitoring.monitors import ColumnDrift, MonitorResult
from monitoring.settings import MONITORS
from monitoring.state import Snapshot, State

N_CLASSES = 30
ESTIMATE = ("estimated_accuracy",)
LAYOUT = Layout(
    columns=("targets", "0", *(f"class {n}" for n in range(N_CLASSES))),
    features=(0,),
    scores=tuple(range(1, N_CLASSES + 1)),
    classes=tuple(f"class {n}" for n in range(N_CLASSES)),
    label_kind=LabelKind.CLASS,
)


class Sizes:
    """The part of a state that the metrics read."""

    window_rows, reference_rows, lag_seconds = 30, 100, 1.5


@pytest.fixture()
def metrics():
    return Metrics(LAYOUT, cast(State, Sizes()), MONITORS)


def samples(metrics):
    """All samples by name and labels; labels in the order of their own names."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (s.name.removeprefix("ktt_monitoring_"), *s.labels.values()): s.value
        for family in families
        for s in family.samples
    }


def rows(predicted, confidence, labels=None):
    made = np.zeros(len(predicted), dtype=LAYOUT.window_dtype)
    made["predicted"], made["label"] = predicted, np.nan if labels is None else labels
    made["drift"][:, -1] = confidence
    return made


def publish(metrics, window, reference):
    metrics.publish_window(Snapshot(window, np.zeros(0, dtype=LAYOUT.dtype), reference))
    return samples(metrics)


def test_the_largest_classes_of_the_reference_are_shown_and_the_others_summed(metrics):
    reference = rows(np.repeat(np.arange(N_CLASSES), np.arange(1, N_CLASSES + 1)), 0.5)
    found = publish(metrics, rows([0, 0, 29, 28], 0.5), reference)
    shown = {key[1] for key in found if key[0] == "class_share"}
    assert shown == {f"class {n}" for n in range(10, 30)} | {"(others)"}
    assert found["class_share", "(others)", "window"] == 0.5
    assert found["class_share", "class 29", "window"] == 0.25
    assert found["class_share", "class 29", "reference"] == pytest.approx(30 / 465)
    for data in ("window", "reference"):
        assert sum(found["class_share", name, data] for name in shown) == pytest.approx(1)


def test_classes_that_are_no_longer_the_largest_are_removed(metrics):
    numbers = np.arange(N_CLASSES)
    publish(metrics, rows([0], 0.5), rows(np.repeat(numbers, numbers + 1), 0.5))
    found = publish(metrics, rows([0], 0.5), rows(np.repeat(numbers, 30 - numbers), 0.5))
    shown = {key[1] for key in found if key[0] == "class_share"}
    assert shown == {f"class {n}" for n in range(20)} | {"(others)"}


def test_quality_without_a_current_value_is_removed(metrics):
    monitor = "prob_classification_performance"
    metrics.publish(monitor, MonitorResult(None, quality={"log_loss": 1, "roc_auc": 0.9}))
    metrics.publish(monitor, MonitorResult(True, quality={"log_loss": 2}))
    found = samples(metrics)
    assert found["quality", "log_loss", monitor] == 2
    assert ("quality", "roc_auc", monitor) not in found
    assert found["drift_alarm", monitor] == 1


def test_estimated_accuracy_is_the_references_plus_the_change_of_confidence(metrics):
    reference = rows([0, 1, 2, 3], 0.8, [0, 1, 2, 9])
    assert publish(metrics, rows([0] * 4, 0.7), reference)[ESTIMATE] == pytest.approx(0.65)
    assert publish(metrics, rows([0] * 4, 1.0), rows([0], 0.1, [0]))[ESTIMATE] == 1
    # Without labels it is the mean confidence.
    assert publish(metrics, rows([0] * 4, 0.7), rows([0], 0.8))[ESTIMATE] == pytest.approx(0.7)


def test_names_follow_the_conventions_of_prometheus(metrics):
    columns = {'a "quoted" \\ name\n': ColumnDrift(0.5, False)}
    metrics.publish("data_drift", MonitorResult(False, columns))
    publish(metrics, rows([0], 0.5), rows([0], 0.5))
    assert samples(metrics)["column_drift_score", next(iter(columns)), "data_drift"] == 0.5
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=metrics.exposition(), capture_output=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
