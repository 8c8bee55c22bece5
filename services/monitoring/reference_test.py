"""The reference set: what is read from it, and which sets are refused and why."""

from __future__ import annotations

import json
import os

import numpy as np
import pyarrow as pa
import pytest

from monitoring.conftest import CLASSES, Model, write_config
from monitoring.errors import SettingsError
from monitoring.layout import CONFIDENCE, LabelKind
from monitoring.reference import load_reference
from monitoring.settings import load_settings


def load(tmp_path, table, prediction=CLASSES, target=None, **service):
    prediction = list(prediction) if isinstance(prediction, tuple) else prediction
    path = write_config(tmp_path, table, prediction, **service)
    if target is not None:
        path.write_text(path.read_text() + f"\ntarget: {target}\n")
    return load_reference(load_settings(path))


def test_features_confidence_and_prediction_are_kept_of_a_row(tmp_path, model):
    table = model.reference(50)
    reference = load(tmp_path, table)
    scores = np.stack([table[name].to_numpy() for name in CLASSES], axis=1)
    assert reference.layout.drift_columns == ("0", "1", "2", CONFIDENCE)
    assert reference.layout.label_kind is LabelKind.CLASS
    np.testing.assert_array_equal(reference.rows["drift"][:, 1], table["1"].to_numpy())
    np.testing.assert_array_equal(reference.rows["drift"][:, 3], scores.max(axis=1))
    np.testing.assert_array_equal(reference.rows["predicted"], scores.argmax(axis=1))
    assert reference.layout.names(reference.rows["label"]) == table["targets"].to_pylist()
    assert "scores" not in (reference.rows.dtype.names or ())


def test_scores_beyond_0_to_1_are_no_probabilities(tmp_path, model):
    table = model.reference(50)
    assert load(tmp_path / "probabilities", table).layout.has_probabilities
    place = table.column_names.index(CLASSES[1])
    column = pa.array(np.where(np.arange(50) == 40, 2.5, table[CLASSES[1]].to_numpy()))
    table = table.set_column(place, CLASSES[1], column)
    assert not load(tmp_path / "scores", table).layout.has_probabilities
    with pytest.raises(SettingsError, match="'Shoes' holds 2.5, but prob_classification"):
        load(tmp_path / "both", table, monitors=["prob_classification_performance"])


def titled(tmp_path, table, titles):
    path = write_config(tmp_path, table, list(CLASSES))
    path.write_text(path.read_text() + f"\nfeature_titles: {json.dumps(titles)}\n")
    return load_reference(load_settings(path))


def test_features_have_their_readable_names(tmp_path, model):
    reference = titled(tmp_path, model.reference(50), ["mixture", "text length", "confidence"])
    names = ("mixture", "text length", "confidence", f"({CONFIDENCE})")
    assert reference.layout.drift_columns == names
    with pytest.raises(SettingsError, match="3 features and `feature_titles:` 2"):
        titled(tmp_path, model.reference(50), ["mixture", "text length"])


def test_the_order_of_the_score_columns_is_that_of_the_configuration(tmp_path, model):
    table = model.reference(50)
    usual, turned = load(tmp_path, table), load(tmp_path, table, CLASSES[::-1])
    assert usual.layout.names(usual.rows["predicted"]) == turned.layout.names(
        turned.rows["predicted"]
    )


def test_losses_are_those_of_the_true_class(tmp_path, model):
    table = model.reference(50)
    rows = load(tmp_path, table, monitors=["prob_classification_performance"]).rows
    true = [table[name][row].as_py() for row, name in enumerate(table["targets"].to_pylist())]
    np.testing.assert_allclose(rows["loss"], -np.log(np.clip(true, 1e-15, 1)), rtol=1e-5)


def test_thousands_of_score_columns_are_read(tmp_path):
    model = Model(classes=tuple(f"class {n}" for n in range(3000)))
    reference = load(tmp_path, model.reference(40), model.classes)
    assert len(reference.layout.classes) == 3000
    assert reference.rows.dtype.itemsize < 100


def test_the_fingerprint_changes_with_the_file_and_with_the_layout(tmp_path, model):
    table = model.reference(50)
    prints = [
        load(tmp_path, table).fingerprint,
        load(tmp_path, table.slice(1)).fingerprint,
        load(tmp_path, table, CLASSES[::-1]).fingerprint,
        load(tmp_path, table, monitors=["prob_classification_performance"]).fingerprint,
    ]
    assert len(set(prints)) == 4
    assert load(tmp_path, table).fingerprint == prints[0]


def replaced(table, name, values):
    return table.set_column(table.schema.get_field_index(name), name, [values])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.slice(0, 29), "has 29 rows, fewer than a window"),
        (lambda t: t.drop(["Shoes"]), "1 of the 4 columns"),
        (lambda t: t.drop(["Shoes", "Shirts"]), "different models"),
        (lambda t: t.append_column("Hats", t["Shoes"]), "'Hats' stands among the score columns"),
        (lambda t: replaced(t, "1", pa.array(["x"] * 40)), "'1' holds string, not numbers"),
        (lambda t: replaced(t, "1", pa.array([True] * 40)), "'1' holds bool"),
        (lambda t: replaced(t, "1", pa.array([1.0] * 39 + [None])), "row 39 has no finite number"),
        (lambda t: replaced(t, "2", pa.array([1e300] * 40)), "row 0 has no finite number"),
        (lambda t: replaced(t, "targets", pa.array(["Hats"] * 40)), "the target 'Hats'"),
        (lambda t: t.drop(["targets"]), "must hold the names of the true classes"),
        (lambda t: t.select(["targets"]), "at least one other"),
    ],
)
def test_an_invalid_reference_is_refused_with_the_reason(tmp_path, model, change, said):
    with pytest.raises(SettingsError) as error:
        load(tmp_path, change(model.reference(40)))
    assert said in str(error.value)
    assert "references.parquet" in str(error.value)


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_at_once(config):
    settings = load_settings(config)
    settings.reference_path.unlink(missing_ok=True)
    os.mkfifo(settings.reference_path)
    with pytest.raises(SettingsError, match="not a regular file"):
        load_reference(settings)


def test_a_missing_reference_is_named(tmp_path, config):
    (config.parent / "references.parquet").unlink()
    with pytest.raises(SettingsError, match=r"references\.parquet does not exist"):
        load_reference(load_settings(config))


def test_a_file_other_than_parquet_is_refused(config):
    (config.parent / "references.parquet").write_bytes(b"PAR1 of sorts")
    with pytest.raises(SettingsError, match="cannot be read as Parquet"):
        load_reference(load_settings(config))


def regression_table(n=40):
    rng = np.random.default_rng(0)
    names = ["price", "0", "1", "estimate"]
    return pa.table([pa.array(rng.normal(size=n)) for _ in names], names)


REGRESSION = {"monitors": ["regression_performance", "data_drift"]}


def test_a_regressions_true_values_are_by_default_the_first_column(tmp_path):
    table = regression_table()
    reference = load(tmp_path, table, "estimate", **REGRESSION)
    assert reference.layout.label_kind is LabelKind.NUMBER
    assert reference.layout.drift_columns == ("0", "1", "estimate")
    np.testing.assert_allclose(reference.rows["label"], table["price"].to_numpy())
    losses = np.abs(table["price"].to_numpy() - table["estimate"].to_numpy())
    np.testing.assert_allclose(reference.rows["loss"], losses, rtol=1e-5)


def test_a_regression_may_name_another_column_of_true_values(tmp_path):
    table = regression_table().add_column(0, "targets", [["x"] * 40])
    reference = load(tmp_path, table, "estimate", "price", **REGRESSION)
    assert reference.layout.drift_columns == ("0", "1", "estimate")
    np.testing.assert_allclose(
        reference.rows["label"], table["price"].to_numpy().astype(np.float32)
    )


@pytest.mark.parametrize(
    ("prediction", "target", "said"),
    [
        ("cost", None, "1 of the 1 columns"),
        ("estimate", "cost", "no column 'cost'"),
        ("estimate", "targets", "holds no numbers, which regression_performance needs"),
        ("estimate", None, "holds no numbers, which regression_performance needs"),
        ("targets", None, "1 of the 1 columns"),
    ],
)
def test_a_regression_without_numeric_columns_is_refused(tmp_path, prediction, target, said):
    table = regression_table().add_column(0, "targets", [["x"] * 40])
    with pytest.raises(SettingsError) as error:
        load(tmp_path, table, prediction, target, **REGRESSION)
    assert said in str(error.value)
