"""The monitors' results equal those of Evidently, called directly on the same frames."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from evidently import DataDefinition, Dataset, MulticlassClassification, Regression, Report
from evidently.metrics import (
    MAE,
    RMSE,
    Accuracy,
    F1Score,
    LogLoss,
    Precision,
    R2Score,
    Recall,
    ValueDrift,
)
from scipy.stats import ks_2samp

from monitoring import monitors, reports
from monitoring.conftest import CLASSES, Model, write_config
from monitoring.monitors import run_monitor
from monitoring.permutation import class_shift_p_value
from monitoring.reference import load_reference
from monitoring.settings import load_settings
from monitoring.state import Snapshot

RATE = 0.05


def run(monitor, snapshot, layout):
    result = run_monitor(monitor, snapshot, layout, RATE, reports)
    assert result is not None
    return result


class Watched:
    """A model's reference set and windows."""

    def __init__(self, folder, classes=CLASSES, n=200):
        self.model = Model(classes=classes)
        self.table = self.model.reference(n)
        path = write_config(
            folder,
            self.table,
            list(classes),
            monitors=["data_drift", "prob_classification_performance"],
        )
        reference = load_reference(load_settings(path))
        self.layout, self.reference = reference.layout, reference.rows

    def records(self, n, shift=0.0, truth=None):
        """Labelled rows, nine of ten predicted correctly, or labelled by `truth`."""
        target = self.model.rng.integers(0, len(self.layout.classes), n)
        numbers = self.model.numbers(n, shift, target)
        labels = target if truth is None else truth(numbers[:, self.model.n_features :])
        return numbers, self.layout.records(numbers, labels.astype(float))

    def run(self, monitor, records):
        window = self.layout.window_rows(records)
        snapshot = Snapshot(window, records, self.reference)
        return run(monitor, snapshot, self.layout)


def test_the_page_shows_the_least_likely_columns_first():
    rng = np.random.default_rng(0)
    reference, window = rng.normal(size=(200, 4)), rng.normal(size=(30, 4))
    window[:, 2] += 5
    window[:, 1] += 1.5
    names = ["text length", "unknown words", "topic", "confidence"]
    found = reports.numeric_drift(reference, window, names, 0.01)
    page = reports.render({}, {"data_drift": found.widgets})
    shown = re.findall(r"Drift in column '([^']*)'", page)
    assert shown[:2] == ["topic", "unknown words"]
    assert sorted(shown[2:]) == ["confidence", "text length"]
    assert list(found.values) == names


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    return Watched(tmp_path_factory.mktemp("watched"))


def values(metrics, definition, current, reference=None):
    """Ask Evidently."""
    data = [None if f is None else Dataset.from_pandas(f, definition) for f in (current, reference)]
    return [metric["value"] for metric in Report(metrics).run(*data).dict()["metrics"]]


def frames(watched, numbers):
    """The reference file and `numbers` as frames, with confidence beside the features."""
    reference = watched.table.to_pandas()
    current = pd.DataFrame(numbers, columns=reference.columns[1:])
    for frame in (reference, current):
        frame["confidence"] = frame[list(watched.layout.classes)].max(axis=1)
        frame["prediction"] = frame[list(watched.layout.classes)].idxmax(axis=1)
    return current, reference


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_drift_scores_are_evidentlys(watched, shift):
    numbers, records = watched.records(30, shift)
    result = watched.run("data_drift", records)
    columns = ["0", "1", "2", "confidence"]
    current, reference = frames(watched, numbers)
    expected = values(
        [ValueDrift(column=c, method="ks") for c in columns],
        DataDefinition(numerical_columns=columns),
        current[columns],
        reference[columns],
    )
    assert list(result.columns) == columns
    np.testing.assert_allclose([c.score for c in result.columns.values()], expected)
    for column in columns:
        p_value = ks_2samp(reference[column], current[column]).pvalue
        assert result.columns[column].score == pytest.approx(p_value)


def test_drift_of_predictions_is_evidentlys_with_our_test(watched):
    numbers, records = watched.records(30)
    result = watched.run("cat_target_drift", records)
    current, reference = frames(watched, numbers)
    (expected,) = values(
        [ValueDrift(column="prediction", method=reports.CLASS_SHIFT)],
        DataDefinition(categorical_columns=["prediction"]),
        current[["prediction"]],
        reference[["prediction"]],
    )
    assert result.columns["prediction"].score == pytest.approx(float(expected))
    codes = {name: place for place, name in enumerate(watched.layout.classes)}
    assert float(expected) == class_shift_p_value(
        reference["prediction"].map(codes).to_numpy(), current["prediction"].map(codes).to_numpy()
    )


def test_targets_are_compared_once_labels_are_known(watched):
    _, records = watched.records(30)
    assert set(watched.run("cat_target_drift", records).columns) == {"prediction", "target"}
    records["label"] = np.nan
    snapshot = Snapshot(watched.layout.window_rows(records), records[:0], watched.reference)
    result = run("cat_target_drift", snapshot, watched.layout)
    assert set(result.columns) == {"prediction"}


def test_quality_is_evidentlys(watched):
    numbers, records = watched.records(60)
    current, _ = frames(watched, numbers)
    current["target"] = watched.layout.names(records["label"])
    task = MulticlassClassification(target="target", prediction_labels="prediction")
    expected = values(
        [Accuracy(), Precision(), Recall(), F1Score()],
        DataDefinition(categorical_columns=["target", "prediction"], classification=[task]),
        current[["target", "prediction"]],
    )
    result = watched.run("classification_performance", records)
    assert list(result.quality) == ["accuracy", "precision", "recall", "f1"]
    np.testing.assert_allclose(list(result.quality.values()), expected)


def test_the_loss_is_evidentlys_over_all_classes(watched):
    numbers, records = watched.records(60)
    current, _ = frames(watched, numbers)
    current["target"] = watched.layout.names(records["label"])
    classes = list(watched.layout.classes)
    task = MulticlassClassification(target="target", prediction_probas=classes)
    (expected,) = values(
        [LogLoss()],
        DataDefinition(
            categorical_columns=["target"], numerical_columns=classes, classification=[task]
        ),
        current[["target", *classes]],
    )
    result = watched.run("prob_classification_performance", records)
    assert result.quality["log_loss"] == pytest.approx(expected, rel=1e-5)
    assert result.quality["log_loss"] == pytest.approx(records["loss"].mean(), rel=1e-5)
    assert 0.5 < result.quality["roc_auc"] <= 1


@pytest.mark.parametrize("n_true", [1, 2, 3])
@pytest.mark.parametrize(
    "monitor", ["classification_performance", "prob_classification_performance"]
)
def test_few_classes_in_the_window_are_accepted(watched, monitor, n_true):
    _, records = watched.records(30, truth=lambda scores: np.arange(len(scores)) % n_true)
    quality = watched.run(monitor, records).quality
    assert quality
    assert np.isfinite(list(quality.values())).all()
    assert ("roc_auc" in quality) == (n_true == 3 and monitor.startswith("prob"))


def test_with_two_classes_quality_is_the_mean_over_both(tmp_path):
    watched = Watched(tmp_path, classes=("no", "yes"))
    _, records = watched.records(40)
    quality = watched.run("classification_performance", records).quality
    right = records["label"] == records["predicted"]
    recall = np.mean([right[records["label"] == c].mean() for c in (0, 1)])
    assert quality["accuracy"] == pytest.approx(right.mean())
    assert quality["recall"] == pytest.approx(recall)


def test_thousands_of_classes_are_watched(tmp_path):
    watched = Watched(tmp_path, classes=tuple(f"class {n}" for n in range(2000)))
    _, records = watched.records(30)
    for monitor in (
        "data_drift",
        "cat_target_drift",
        "classification_performance",
        "prob_classification_performance",
    ):
        assert watched.run(monitor, records) is not None
    quality = watched.run("prob_classification_performance", records).quality
    assert quality["log_loss"] == pytest.approx(records["loss"].mean(), rel=1e-4)


def test_with_too_many_classes_only_the_newest_rows_are_evaluated(watched, monkeypatch):
    monkeypatch.setattr(monitors, "MOST_CLASSES", 2)
    _, records = watched.records(30, truth=lambda scores: np.arange(len(scores)) // 10)
    result = watched.run("prob_classification_performance", records)
    assert result.quality["log_loss"] == pytest.approx(records["loss"][10:].mean(), rel=1e-5)


def test_worse_predictions_alarm_and_equally_good_ones_do_not(watched):
    _, good = watched.records(60)
    _, bad = watched.records(60, truth=lambda scores: scores.argmin(axis=1))
    for monitor in ("classification_performance", "prob_classification_performance"):
        assert watched.run(monitor, good).alarm is False
        assert watched.run(monitor, bad).alarm is True


def test_without_labels_performance_monitors_have_no_result(watched):
    _, records = watched.records(30)
    snapshot = Snapshot(watched.layout.window_rows(records), records[:0], watched.reference)
    for monitor in ("classification_performance", "prob_classification_performance"):
        assert run_monitor(monitor, snapshot, watched.layout, RATE, reports) is None


def test_regression_quality_is_evidentlys(tmp_path):
    rng = np.random.default_rng(0)
    true = rng.normal(size=240)
    numbers = np.stack([rng.normal(size=240), true + rng.normal(scale=0.1, size=240)], axis=1)
    import pyarrow as pa

    table = pa.table([true[:200], *numbers[:200].T.copy()], ["price", "0", "estimate"])
    path = write_config(tmp_path, table, "estimate", monitors=["regression_performance"])
    reference = load_reference(load_settings(path))
    layout = reference.layout
    records = layout.records(numbers[200:].astype(np.float32), true[200:])
    snapshot = Snapshot(layout.window_rows(records), records, reference.rows)
    result = run("regression_performance", snapshot, layout)
    frame = pd.DataFrame({"target": true[200:], "prediction": np.float32(numbers[200:, 1])})
    expected = values(
        [MAE(), RMSE(), R2Score()],
        DataDefinition(numerical_columns=["target", "prediction"], regression=[Regression()]),
        frame,
    )
    assert result.quality["mae"] == pytest.approx(expected[0]["mean"])
    assert result.quality["rmse"] == pytest.approx(expected[1])
    assert result.quality["r2"] == pytest.approx(expected[2])
    assert result.alarm is False
    records["label"] += 1
    layout.set_losses(records)
    assert run("regression_performance", snapshot, layout).alarm is True


def test_rows_of_the_reference_in_the_window_raise_no_alarm(watched):
    _, records = watched.records(30, shift=5.0)
    assert watched.run("data_drift", records).alarm is True
    records["seeded"][0] = True
    result = watched.run("data_drift", records)
    assert result.alarm is False
    assert result.columns["0"].drifted


def test_constant_columns_are_accepted(watched):
    numbers, _ = watched.records(30)
    numbers[:, 0] = 1.0
    records = watched.layout.records(numbers, np.full(30, np.nan))
    assert watched.run("data_drift", records).columns["0"].drifted


def test_names_cannot_end_the_script_that_holds_them(tmp_path):
    classes = ("</script><img src=x>", "‹/script>‹img src=x>", "<b>", "plain")
    watched = Watched(tmp_path, classes=classes)
    _, records = watched.records(30)
    parts = {
        monitor: watched.run(monitor, records).widgets
        for monitor in ("cat_target_drift", "prob_classification_performance")
    }
    page = reports.render({}, parts)
    assert "<img src=x" not in page
    assert "<b>" not in page.split("</script>")[0]


def test_the_report_loads_nothing_from_other_hosts(watched):
    _, records = watched.records(30)
    page = reports.render(
        {"rows": "30"}, {"data_drift": watched.run("data_drift", records).widgets}
    )
    for tag in ("<script src=", "<link", "<img", "<iframe"):
        assert tag not in page.split("<script>var global")[0]
    assert "Drift in column 'confidence'" in page
