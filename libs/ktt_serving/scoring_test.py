"""Models read from their artifacts answer as they did where they were trained."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import CheckpointError, InvalidArgumentError
from ktt_core.preprocessors.cleaning import clean_texts
from ktt_core.tfidf.scorer import load_scorer as load_tfidf
from ktt_core.tfidf.text_rows import TextRows
from ktt_serving.onnx_scorer import OnnxScorer, groups_of_like_length, thread_count
from ktt_serving.scoring import load_scorer
from ktt_serving.serving_fixtures import (
    LEARNED,
    TAXONOMY,
    TEMPERATURE,
    onnx_answers,
    write_onnx_artifacts,
    write_tfidf_artifacts,
)
from ktt_serving.tfidf_scorer import TfidfScorer

TEXTS = [*LEARNED, "zzz ☃", " SHOES,\tshoes\x00 and  Balls", "guitar " * 500]


@pytest.fixture(scope="module")
def tfidf(tmp_path_factory):
    return write_tfidf_artifacts(tmp_path_factory.mktemp("tfidf") / "artifacts")


@pytest.fixture(scope="module")
def onnx(tmp_path_factory):
    return write_onnx_artifacts(tmp_path_factory.mktemp("onnx") / "artifacts")


def test_a_tfidf_model_answers_at_its_temperature(tfidf):
    with np.load(tfidf / "weights.npz") as file:
        arrays = {name: file[name] for name in file.files}
    scorer = load_tfidf(TAXONOMY, arrays, json.loads((tfidf / "weights.json").read_text()))
    rows = TextRows(tfidf).vectorizer.transform(clean_texts(TEXTS))
    expected = leaf_log_proba(scorer.level_scores(rows), TAXONOMY, TEMPERATURE)
    found = load_scorer(tfidf)(TEXTS)
    np.testing.assert_array_equal(found.log_proba, expected)
    assert found.features.shape == (len(TEXTS), 26)
    # The text's length and the share of unknown terms, as in the reference set.
    assert found.features[0, 24] == len(LEARNED[0]) and found.features[5, 25] == 1


def test_an_encoder_model_answers_as_the_one_it_was_made_of(onnx):
    answers = onnx_answers()
    found = load_scorer(onnx)(answers["texts"])
    np.testing.assert_allclose(np.exp(found.log_proba), answers["proba"], atol=2e-6)
    assert len(found.features) == len(answers["texts"])


@pytest.mark.parametrize("kind", ["tfidf", "onnx"])
def test_a_batch_changes_nothing(kind, request):
    scorer = load_scorer(request.getfixturevalue(kind))
    together = scorer(TEXTS * 3)
    alone = [scorer([text]) for text in TEXTS * 3]
    for name in ("log_proba", "features"):
        parts = np.concatenate([getattr(scores, name) for scores in alone])
        np.testing.assert_allclose(getattr(together, name), parts, atol=1e-5)


def test_a_batch_changes_not_even_the_last_digit_of_a_quantized_graph_s_answers(tmp_path):
    # It rounds by the range of all that goes through it at once.
    scorer = load_scorer(write_onnx_artifacts(tmp_path / "artifacts", quantized=True))
    together = scorer(TEXTS * 3)
    for row, text in enumerate(TEXTS * 3):
        alone = scorer([text])
        assert (alone.log_proba[0] == together.log_proba[row]).all()
        assert (alone.features[0] == together.features[row]).all()


def test_texts_of_like_length_go_together():
    lengths = np.array([5, 400, 6, 5, 390, 6])
    groups = [group.tolist() for group in groups_of_like_length(lengths)]
    assert groups == [[0, 3, 2, 5], [4, 1]]
    # Where padding costs less than another call, order stays as it is.
    assert [group.tolist() for group in groups_of_like_length(np.array([7, 5, 6]))] == [[0, 1, 2]]
    assert [group.tolist() for group in groups_of_like_length(np.array([7]))] == [[0]]


def test_groups_hold_every_row_once():
    lengths = np.random.default_rng(0).integers(1, 512, size=200)
    groups = list(groups_of_like_length(lengths))
    assert sorted(np.concatenate(groups).tolist()) == list(range(200))
    padded = sum(len(group) * lengths[group].max() for group in groups)
    assert padded < 1.2 * lengths.sum()


def test_threads_are_a_worker_s_share_or_what_is_said(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.delenv("KTT_THREADS", raising=False)
    monkeypatch.delenv("BENTOML_GUNICORN_WORKERS", raising=False)
    monkeypatch.setattr("sys.argv", ["bentoml", "serve-gunicorn", "./"])
    assert thread_count() == 8
    monkeypatch.setattr("sys.argv", ["bentoml", "serve-gunicorn", "./", "--workers", "3"])
    assert thread_count() == 2
    monkeypatch.setattr("sys.argv", ["bentoml", "serve-gunicorn", "./", "--workers=16"])
    assert thread_count() == 1
    monkeypatch.setenv("BENTOML_GUNICORN_WORKERS", "4")
    monkeypatch.setattr("sys.argv", ["bentoml", "serve-gunicorn", "./"])
    assert thread_count() == 2
    monkeypatch.setenv("KTT_THREADS", "5")
    assert thread_count() == 5
    monkeypatch.setenv("KTT_THREADS", "many")
    with pytest.raises(InvalidArgumentError, match="KTT_THREADS"):
        thread_count()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("tfidf", "model.json"),
        ("tfidf", "hierarchy.json"),
        ("tfidf", "vocabulary.npz"),
        ("tfidf", "weights.npz"),
        ("tfidf", "weights.json"),
        ("onnx", "model.onnx"),
        ("onnx", "tokenizer.json"),
        ("onnx", "hierarchy.json"),
    ],
)
@pytest.mark.parametrize("damage", ["gone", "cut", "empty"])
def test_a_damaged_file_is_named(kind, name, damage, request, tmp_path):
    folder = tmp_path / "artifacts"
    shutil.copytree(request.getfixturevalue(kind), folder)
    file = folder / name
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(CheckpointError, match=str(folder)):
        load_scorer(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"kind": "other"}, "'other'"), ({"format_version": 2}, "version 2")],
)
def test_what_this_release_does_not_know_is_said(tfidf, tmp_path, change, message):
    folder = tmp_path / "artifacts"
    shutil.copytree(tfidf, folder)
    value = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**value, **change}))
    with pytest.raises(CheckpointError, match=message):
        load_scorer(folder)


def test_files_of_two_models_do_not_go_together(onnx, tmp_path):
    from ktt_core.taxonomy import Taxonomy

    folder = tmp_path / "artifacts"
    shutil.copytree(onnx, folder)
    other = Taxonomy.from_paths([("a",), ("b",)])
    (folder / "hierarchy.json").write_text(json.dumps({"taxonomy": other.to_json()}))
    with pytest.raises(CheckpointError, match="different models"):
        load_scorer(folder)


def test_an_encoder_model_tells_what_it_does_not_read_of_texts(onnx):
    scorer, told = OnnxScorer(onnx), []
    scorer.on_tokens = lambda read, cut: told.append((read.tolist(), cut.tolist()))
    scorer(["guitar", "guitar " * 500])
    ((read, cut),) = told
    limit = json.loads((onnx / "tokenizer.json").read_text())["truncation"]["max_length"]
    assert read[1] == limit > read[0] and cut[0] == 0
    # Two of each text's tokens are special.
    assert cut[1] == pytest.approx(500 * (read[0] - 2) - (limit - 2), rel=0.05)


def test_a_tf_idf_model_tells_what_it_does_not_read_of_texts(tfidf):
    scorer, told = TfidfScorer(tfidf), []
    scorer.on_characters = lambda read, cut: told.append((read.tolist(), cut.tolist()))
    scorer(["a guitar", "guitar " * 15_000])
    assert told == [([8, 100_000], [0, 4_999])]
    assert not hasattr(scorer, "on_tokens")


def test_a_tf_idf_model_answers_a_text_by_its_beginning(tfidf):
    scorer, beginning = load_scorer(tfidf), "guitar " * 14_285 + "guita"
    assert len(beginning) == 100_000
    scores = scorer([beginning, beginning + "r", beginning + " drums" * 1000])
    np.testing.assert_array_equal(scores.log_proba[0], scores.log_proba[1])
    np.testing.assert_array_equal(scores.log_proba[0], scores.log_proba[2])
