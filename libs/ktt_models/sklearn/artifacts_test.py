"""What a bundle of a tf-idf model reads answers as the model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ktt_core.errors import DataError, UnsupportedError
from ktt_core.reference import leaf_column_names
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.text_rows import TextRows
from ktt_models.sklearn import artifacts
from ktt_models.sklearn.onnx.folder_test import FLAT, RAGGED, TEXTS, trained


@pytest.fixture(scope="module", params=["tfidf_lsgd", "tfidf_hsgd"])
def model(request):
    return trained(request.param)


@pytest.fixture
def folder(model, tmp_path):
    model.export_artifacts(tmp_path)
    return tmp_path


def test_the_artifacts_answer_as_the_model_does(model, folder):
    figures = model.artifacts_parity(folder, TEXTS)
    assert figures.rows == len(TEXTS)
    assert figures.top_path_agreement == 1.0
    assert figures.max_probability_difference < 1e-6
    assert figures.max_feature_difference < 1e-6


def test_they_say_what_monitoring_rows_are_made_of(model, folder):
    said = json.loads((folder / "model.json").read_text())
    assert (said["model"], said["kind"]) == (model.model_id, "tfidf")
    assert said["temperature"] == model.temperature
    assert said["feature_names"] == [str(number) for number in range(26)]
    assert said["feature_titles"][24:] == ["text length", "unknown words"]
    assert said["score_columns"] == list(leaf_column_names(model.taxonomy))


def test_no_file_needs_pickle(folder):
    for path in folder.glob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype != object for name in arrays.files)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".npz"}


def test_what_is_damaged_or_of_another_model_is_told(model, folder):
    other = trained(model.model_id, FLAT)
    with pytest.raises(DataError, match="other classes"):
        other.artifacts_parity(folder, TEXTS)
    content = (folder / "weights.npz").read_bytes()
    (folder / "weights.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        model.artifacts_parity(folder, TEXTS)


def test_weights_that_differ_do_not_pass(model, folder):
    with np.load(folder / "weights.npz") as file:
        arrays = {name: file[name] for name in file.files}
    arrays["bias"] = arrays["bias"] + np.linspace(0, 3, len(arrays["bias"]), dtype=np.float32)
    np.savez(folder / "weights.npz", **arrays)
    assert not model.artifacts_parity(folder, TEXTS).passed


def test_features_that_differ_do_not_pass(model, folder, monkeypatch):
    own = artifacts.reference_features

    def longer(rows, texts, unknown):
        features = own(rows, texts, unknown)
        features[:, 24] += 1
        return features

    monkeypatch.setattr(artifacts, "reference_features", longer)
    figures = model.artifacts_parity(folder, TEXTS)
    assert not figures.passed
    assert figures.worst_feature == 24
    assert figures.max_probability_difference < 1e-6


def test_an_untrained_model_has_none(model, tmp_path):
    untrained = type(model)(Taxonomy.from_paths(RAGGED), model.config)
    with pytest.raises(UnsupportedError, match="not trained"):
        untrained.export_artifacts(tmp_path)


def test_the_artifacts_read_of_a_long_text_what_the_model_reads(model, tmp_path):
    short = trained(model.model_id, max_chars=7)
    short.export_artifacts(tmp_path)
    long = [*TEXTS, "guitar " * 10_000, "guitars" + "\u0301" * 20]
    figures = short.artifacts_parity(tmp_path, long)
    assert figures.top_path_agreement == 1.0
    assert figures.max_probability_difference < 1e-6 and figures.max_feature_difference < 1e-6
    assert TextRows(tmp_path).vectorizer.max_chars == 7
