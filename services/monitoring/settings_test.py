"""evidently.yaml: what is read, and which files are refused and why."""

from __future__ import annotations

import json
import os

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from monitoring.errors import SettingsError
from monitoring.settings import MONITORS, load_settings

SERVICE = {"reference_path": "./references.parquet"}


def load(tmp_path, document):
    path = tmp_path / "evidently.yaml"
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def test_the_defaults_are_those_of_the_template(tmp_path):
    settings = load(tmp_path, {"service": SERVICE, "prediction": ["a", "b"]})
    assert settings.reference_path == tmp_path / "references.parquet"
    assert settings.min_reference_size == settings.window_size == 30
    assert settings.use_reference is True
    assert settings.moving_reference is False
    assert settings.calculation_period_sec == 60
    assert set(settings.monitors) == {"cat_target_drift", "data_drift"}
    assert settings.alarm_rate == 0.05


def test_every_field_is_read(tmp_path):
    service = {
        "reference_path": "r.parquet",
        "min_reference_size": 80,
        "use_reference": False,
        "moving_reference": True,
        "window_size": 70,
        "calculation_period_sec": 1.5,
        "monitors": ["prob_classification_performance", "data_drift"],
        "alarm_rate": 0.01,
        "feedback_size": 5,
    }
    settings = load(tmp_path, {"service": service, "prediction": ["a", "b"]})
    assert settings.min_reference_size == 80
    assert settings.use_reference is False
    assert settings.moving_reference is True
    assert settings.window_size == 70
    assert settings.calculation_period_sec == 1.5
    assert settings.monitors == ("data_drift", "prob_classification_performance")
    assert settings.alarm_rate == 0.01
    assert settings.feedback_size == 5
    assert settings.prediction == ("a", "b")


def test_names_with_characters_beyond_16_bits_equal_those_in_json(tmp_path):
    names = ["\N{GUITAR} guitars", "a > b", "\N{BUG}\nx", "\ue000"]
    text = "service: {reference_path: r.parquet}\n"
    for field in ("prediction", "labels", "feature_titles"):
        text += f"{field}: {json.dumps(names)}\n"
    settings = load(tmp_path, text)
    assert settings.prediction == settings.labels == settings.feature_titles == tuple(names)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("service: [", "not YAML"),
        ("a: b: c", "not YAML"),
        ("just text", "mapping"),
        ("", "mapping"),
        ({"service": SERVICE, "predictions": ["a"]}, "unknown field predictions"),
        ({"prediction": ["a"]}, "`service:` is missing"),
        ({"service": SERVICE, "prediction": ["a", "b"], "labels": ["a"]}, "labels has 1 entries"),
        ({"service": SERVICE, "prediction": ["a", "b"], "labels": ["a", "a"]}, "'a' twice"),
        ({"service": SERVICE, "prediction": ["a"], "feature_titles": "x"}, "a list of names"),
        ({"service": {}}, "reference_path is missing"),
        ({"service": SERVICE | {"windowsize": 3}}, "unknown field service.windowsize"),
        ({"service": SERVICE | {"window_size": 1}}, "service.window_size must be a whole number"),
        ({"service": SERVICE | {"window_size": True}}, "not True"),
        ({"service": SERVICE | {"window_size": "30"}}, "not '30'"),
        ({"service": SERVICE | {"use_reference": "yes"}}, "true or false, not 'yes'"),
        ({"service": SERVICE | {"calculation_period_sec": 0}}, "calculation_period_sec"),
        ({"service": SERVICE | {"calculation_period_sec": float("nan")}}, "nan"),
        ({"service": SERVICE | {"alarm_rate": 1}}, "alarm_rate"),
        ({"service": SERVICE | {"monitors": []}}, "list of some of data_drift"),
        ({"service": SERVICE | {"monitors": "data_drift"}}, "list of some of"),
        ({"service": SERVICE | {"monitors": ["drift"]}}, "unknown monitor 'drift'"),
        ({"service": SERVICE | {"monitors": [["data_drift"]]}}, "unknown monitor"),
        ({"service": SERVICE | {"monitors": ["data_drift"] * 2}}, "twice"),
        (
            {"service": SERVICE | {"window_size": 40, "min_reference_size": 39}},
            "min_reference_size (39) is less than service.window_size (40)",
        ),
        ({"service": SERVICE}, "cat_target_drift needs the names of the score columns"),
        ({"service": SERVICE, "prediction": "price"}, "needs the names of the score columns"),
        ({"service": SERVICE, "prediction": ["a", 1]}, "prediction[1] is 1"),
        ({"service": SERVICE, "prediction": ["a", "a"]}, "prediction has the name 'a' twice"),
        (
            {
                "service": SERVICE | {"monitors": ["regression_performance"]},
                "prediction": ["a", "b"],
            },
            "needs a numeric target and a numeric prediction",
        ),
        ({"service": SERVICE | {"monitors": ["regression_performance"]}}, "numeric target"),
    ],
)
def test_an_invalid_file_is_refused_with_the_reason(tmp_path, document, said):
    with pytest.raises(SettingsError) as error:
        load(tmp_path, document)
    assert said in str(error.value)
    assert "evidently.yaml" in str(error.value)


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "evidently.yaml")
    with pytest.raises(SettingsError, match="not a regular file"):
        load_settings(tmp_path / "evidently.yaml")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match="none.yaml cannot be read"):
        load_settings(tmp_path / "none.yaml")


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    service=st.fixed_dictionaries(
        {},
        optional={
            "reference_path": anything,
            "min_reference_size": anything,
            "use_reference": anything,
            "moving_reference": anything,
            "window_size": anything,
            "calculation_period_sec": anything,
            "monitors": anything | st.lists(st.sampled_from(MONITORS)),
            "alarm_rate": anything,
        },
    ),
    prediction=anything,
)
def test_any_value_is_read_or_refused(tmp_path_factory, service, prediction):
    folder = tmp_path_factory.mktemp("any")
    try:
        settings = load(folder, {"service": service, "prediction": prediction})
    except SettingsError:
        return
    assert settings.min_reference_size >= settings.window_size >= 2
    assert set(settings.monitors) <= set(MONITORS)
