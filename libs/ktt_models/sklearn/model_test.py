"""What every model in scikit-learn's manner does, shown on both of them."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktt_core.checkpoints.format import read_arrays, write_arrays
from ktt_core.config import build_config
from ktt_core.decoding import decode, leaf_log_proba
from ktt_core.errors import (
    CheckpointError,
    DataError,
    FailedPreconditionError,
    NotFoundError,
    UnsupportedError,
)
from ktt_core.model import Batch
from ktt_core.progress import Progress
from ktt_core.registry import get_model
from ktt_core.taxonomy import Taxonomy
from ktt_models.sklearn.config import TfidfConfig
from ktt_models.sklearn.model import SklearnModel

PATHS = [
    ("Sport", "Shoes"),
    ("Sport", "Balls"),
    ("Music", "Guitars"),
    ("Music", "Drums"),
    ("Books",),
]
TAXONOMY = Taxonomy.from_paths(PATHS)
WORDS = [
    ["running shoes", "trail shoes", "football boots"],
    ["football", "basket ball", "tennis ball"],
    ["electric guitar", "bass guitar", "guitar strings"],
    ["drum kit", "snare drum", "cymbal"],
    ["novel", "paperback book", "a book of poems"],
]


class Rows:
    """A loader over seeded rows, three words' worth of noise in each."""

    def __init__(self, n_rows: int, seed: int = 0, size: int = 16) -> None:
        generator = np.random.default_rng(seed)
        which = generator.integers(len(PATHS), size=n_rows)
        self.texts = [
            f"{generator.choice(WORDS[leaf])} no {generator.integers(50)}"
            for leaf in which.tolist()
        ]
        self.codes = np.array([TAXONOMY.encode(PATHS[leaf]) for leaf in which], dtype=np.int32)
        self.codes = self.codes.reshape(n_rows, TAXONOMY.depth)
        self.size = size

    @property
    def n_rows(self) -> int:
        return len(self.texts)

    def __iter__(self):  # type: ignore[no-untyped-def]
        for start in range(0, len(self.texts), self.size):
            part = slice(start, start + self.size)
            yield Batch({"text": self.texts[part]}, self.codes[part])


TRAIN, VAL, TEST = Rows(200, 0), Rows(40, 1), Rows(40, 2)


def make(model_id: str, **values: Any) -> SklearnModel:
    model_class = get_model(model_id)
    config = build_config(model_class.config_class, model_id, {"n_jobs": 1, **values})
    model = model_class(TAXONOMY, config)
    assert isinstance(model, SklearnModel)
    return model


@pytest.fixture(scope="module", params=["tfidf_lsgd", "tfidf_hsgd"])
def fitted(request: pytest.FixtureRequest) -> SklearnModel:
    """Return each model, trained."""
    model = make(request.param)
    model.fit(TRAIN, VAL)
    return model


def probabilities(model: SklearnModel, texts: Sequence[str]) -> np.ndarray:
    levels = model.level_scores(model.get_preprocessor(model.config)(texts))
    return np.exp(leaf_log_proba(levels, model.taxonomy, model.temperature))


def test_it_learns(fitted: SklearnModel) -> None:
    metrics = fitted.test(TEST)
    assert metrics["hierarchical_f1"] > 0.95
    assert metrics["valid_paths"] == 1.0 or "valid_paths" in metrics
    levels = fitted.level_scores({"text": ["an electric guitar", "two novels"]})
    answers = decode(levels, TAXONOMY, temperature=fitted.temperature).predictions()
    assert [answer[0].path for answer in answers] == [("Music", "Guitars"), ("Books",)]


def test_validation_fits_the_temperature_and_gives_the_metrics(fitted: SklearnModel) -> None:
    assert fitted.temperature != 1.0
    metrics = dict(fitted.record.metrics["val"])
    assert metrics.pop("calibration_error_uncalibrated") > 0.0
    assert metrics == fitted.test(VAL)


def test_fit_and_test_measure_with_a_models_own_function(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make("tfidf_lsgd")
    own = staticmethod(lambda: lambda log_proba, codes, taxonomy: {"rows": float(len(codes))})
    monkeypatch.setattr(type(model), "get_metrics_func", own)
    assert model.fit(TRAIN, VAL) == model.test(VAL) == {"rows": 40.0}
    assert model.record.history[-1]["rows"] == model.record.metrics["val"]["rows"] == 40.0


def test_the_record_tells_how_training_went(fitted: SklearnModel) -> None:
    history = fitted.record.history
    assert isinstance(fitted.config, TfidfConfig)
    assert [point["epoch"] for point in history] == list(range(1, fitted.config.epochs + 1))
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["leaf_accuracy"] == fitted.record.metrics["val"]["leaf_accuracy"]


def test_rows_of_other_classes_are_refused(fitted: SklearnModel) -> None:
    rows = Rows(40, 2)
    rows.taxonomy = TAXONOMY  # type: ignore[attr-defined]
    assert fitted.test(rows) == fitted.test(TEST)
    # As many classes on each level, under other names.
    renamed = [tuple(f"{name}x" for name in path) for path in PATHS]
    rows.taxonomy = Taxonomy.from_paths(renamed)  # type: ignore[attr-defined]
    with pytest.raises(FailedPreconditionError, match="0 of its 5 class paths are left"):
        fitted.test(rows)
    with pytest.raises(FailedPreconditionError, match="imported again"):
        fitted.gen_reference_set(rows)
    with pytest.raises(FailedPreconditionError, match="imported again"):
        make(fitted.model_id).fit(TRAIN, rows)


def test_a_second_fit_gives_the_same_numbers(fitted: SklearnModel) -> None:
    again = make(fitted.model_id)
    metrics = again.fit(TRAIN, VAL)
    assert metrics.items() <= fitted.record.metrics["val"].items()
    assert again.record.history == fitted.record.history
    np.testing.assert_array_equal(
        probabilities(again, TEST.texts), probabilities(fitted, TEST.texts)
    )


def test_batches_make_no_difference(fitted: SklearnModel) -> None:
    whole = probabilities(fitted, TEST.texts)
    single = np.concatenate([probabilities(fitted, [text]) for text in TEST.texts])
    np.testing.assert_allclose(single, whole, atol=1e-5)


def test_any_text_has_an_answer(fitted: SklearnModel) -> None:
    odd = ["", " ", "\U0001f600", "абв 中文", "x" * 10_000, "unknown"]
    proba = probabilities(fitted, odd)
    assert proba.shape == (6, TAXONOMY.n_leaves)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-5)
    assert probabilities(fitted, []).shape == (0, TAXONOMY.n_leaves)


def test_a_checkpoint_gives_the_same_answers(fitted: SklearnModel, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    fitted.save(path)
    loaded = type(fitted).from_checkpoint(path)
    assert loaded.config == fitted.config and loaded.taxonomy == fitted.taxonomy
    assert loaded.record == fitted.record and "numpy" in loaded.record.versions
    np.testing.assert_allclose(
        probabilities(loaded, TEST.texts), probabilities(fitted, TEST.texts), atol=1e-6
    )
    assert loaded.test(TEST) == pytest.approx(fitted.test(TEST), abs=1e-6)
    again = tmp_path / "again.safetensors"
    loaded.save(again)
    assert again.read_bytes() == path.read_bytes()
    other = make(fitted.model_id)
    other.load(path)
    assert other.temperature == fitted.temperature
    np.testing.assert_array_equal(
        probabilities(other, TEST.texts), probabilities(loaded, TEST.texts)
    )


def test_a_fit_keeps_one_checkpoint_and_a_dry_run_none(tmp_path: Path) -> None:
    model = make("tfidf_hsgd", epochs=1)
    model.fit(TRAIN, VAL)
    assert list(tmp_path.iterdir()) == []
    model.fit(TRAIN, VAL, tmp_path / "last.safetensors", tmp_path / "best.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]
    model.fit(TRAIN, VAL, tmp_path / "last.safetensors")
    assert (tmp_path / "last.safetensors").exists()


def test_progress_tells_the_phases(tmp_path: Path) -> None:
    events: list[Progress] = []
    model = make("tfidf_lsgd", epochs=3)
    model.fit(TRAIN, VAL, best_path=tmp_path / "best.safetensors", progress=events.append)
    phases = list(dict.fromkeys(event.phase for event in events))
    assert phases == ["features", "fit", "temperature", "validate", "save"]
    fit = [event for event in events if event.phase == "fit"]
    assert [event.step for event in fit] == [0, 1, 2, 3]
    assert fit[-1].metrics["train_loss"] < fit[1].metrics["train_loss"]
    for phase in ("features", "fit", "validate"):
        last = [event for event in events if event.phase == phase][-1]
        assert last.step == last.total


def test_without_validation_rows_there_is_no_temperature_and_no_metric() -> None:
    model = make("tfidf_lsgd")
    assert model.fit(TRAIN, Rows(0)) == {}
    assert model.temperature == 1.0 and model.record.metrics == {}


def test_what_cannot_be_trained_says_why() -> None:
    with pytest.raises(DataError, match="no rows"):
        make("tfidf_lsgd").fit(Rows(0), VAL)
    with pytest.raises(UnsupportedError, match="trains in one go"):
        make("tfidf_lsgd").fit(TRAIN, VAL, resume_from=Path("last.safetensors"))
    with pytest.raises(DataError, match="min_df"):
        make("tfidf_lsgd", min_df=5000, char_ngrams=None).fit(TRAIN, VAL)
    with pytest.raises(DataError, match=r"min_df \(500\).*profile 'original' sets min_df to 50"):
        make("tfidf_lsgd", min_df=500, profile="original").fit(TRAIN, VAL)
    with pytest.raises(DataError, match=r"max_df \(1\.0\)$"):
        make("tfidf_lsgd", min_df=500, char_ngrams=None).fit(TRAIN, VAL)
    lonely = get_model("tfidf_hsgd")(Taxonomy.from_paths([("a", "b")]), make("tfidf_hsgd").config)
    with pytest.raises(DataError, match="one class path only"):
        lonely.fit(TRAIN, VAL)


@pytest.mark.parametrize("loss", ["softmax", "modified_huber"])
@pytest.mark.parametrize("model_id", ["tfidf_lsgd", "tfidf_hsgd"])
def test_the_largest_steps_and_penalties_still_give_finite_weights(
    model_id: str, loss: str, tmp_path: Path
) -> None:
    model = make(model_id, loss=loss, learning_rate=100.0, alpha=100.0, word_weight=100.0, epochs=3)
    model.fit(TRAIN, VAL, best_path=tmp_path / "best.safetensors")
    loaded = type(model).from_checkpoint(tmp_path / "best.safetensors")
    assert np.isfinite(probabilities(loaded, TEST.texts)).all()


def test_an_untrained_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="not trained yet"):
        make("tfidf_hsgd").level_scores({"text": ["a"]})
    with pytest.raises(UnsupportedError, match="not trained yet"):
        make("tfidf_hsgd").save(tmp_path / "best.safetensors")


def test_a_split_without_rows_cannot_be_tested(fitted: SklearnModel) -> None:
    with pytest.raises(DataError):
        fitted.test(Rows(0))
    with pytest.raises(DataError, match="reference set needs rows"):
        fitted.gen_reference_set(Rows(0))


def test_the_reference_set_holds_targets_features_and_probabilities(fitted: SklearnModel) -> None:
    table = fitted.gen_reference_set(TEST)
    leaves = ["Books", "Guitars", "Drums", "Shoes", "Balls"]
    assert table.num_rows == TEST.n_rows
    assert table.column_names[:27] == ["targets", *map(str, range(26))]
    assert sorted(table.column_names[27:]) == sorted(leaves)
    assert table.column("24").to_pylist() == [len(text) for text in TEST.texts]
    proba = np.stack([table.column(index).to_numpy() for index in range(27, 32)], axis=1)
    np.testing.assert_allclose(proba, probabilities(fitted, TEST.texts), atol=1e-6)


# -- checkpoints that must not be loaded -----------------------------------------------------------


def test_a_checkpoint_of_another_model_taxonomy_or_kind_is_refused(
    fitted: SklearnModel, tmp_path: Path
) -> None:
    path = tmp_path / "best.safetensors"
    fitted.save(path)
    other = {"tfidf_lsgd": "tfidf_hsgd", "tfidf_hsgd": "tfidf_lsgd"}[fitted.model_id]
    with pytest.raises(
        CheckpointError, match=f"of the model '{fitted.model_id}', not of '{other}'"
    ):
        get_model(other).from_checkpoint(path)
    stranger = type(fitted)(Taxonomy.from_paths([("a",), ("b",)]), fitted.config)
    with pytest.raises(CheckpointError, match="another taxonomy"):
        stranger.load(path)
    with pytest.raises(NotFoundError):
        type(fitted).from_checkpoint(tmp_path / "nothing.safetensors")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="damaged"):
        type(fitted).from_checkpoint(path)
    path.write_bytes(pickle.dumps(object()))
    with pytest.raises(CheckpointError):
        type(fitted).from_checkpoint(path)


def test_a_load_that_fails_leaves_the_model_as_it_was(fitted: SklearnModel, tmp_path: Path) -> None:
    before = probabilities(fitted, TEST.texts)
    (tmp_path / "best.safetensors").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError):
        fitted.load(tmp_path / "best.safetensors")
    np.testing.assert_array_equal(probabilities(fitted, TEST.texts), before)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": -1.0},
        {"temperature": "warm"},
        {"temperature": "1.0"},
        {"temperature": True},
        {"temperature": 10**400},
        {"dataset": "shop"},
        {"metrics": {"val": 0.5}},
        {"config": {"profil": 1}},
        {"config": None},
        {"taxonomy": {}},
        {"taxonomy": {"names": [["a"]]}},
        {"vectorizer": {}},
        {"vectorizer": {"nonsense": 1}},
        {"solver": {}},
        {"solver": None},
        {"metrics": {"val": {"leaf_accuracy": "high"}}},
    ],
)
def test_a_whole_file_of_nonsense_is_refused(
    fitted: SklearnModel, tmp_path: Path, change: dict[str, Any]
) -> None:
    path = tmp_path / "best.safetensors"
    fitted.save(path)
    metadata, arrays = read_arrays(path, fitted.model_id)
    forged = tmp_path / "forged.safetensors"
    if change.get("vectorizer") == {}:
        arrays = {name: array for name, array in arrays.items() if "vectorizer" not in name}
    write_arrays(forged, {**metadata, **change}, arrays)
    with pytest.raises(CheckpointError, match="forged"):
        type(fitted).from_checkpoint(forged)


def test_a_solver_of_the_other_kind_is_refused(fitted: SklearnModel, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    fitted.save(path)
    metadata, arrays = read_arrays(path, fitted.model_id)
    kinds = {"tfidf_lsgd": ("flat", "hierarchical"), "tfidf_hsgd": ("hierarchical", "flat")}
    own, other = kinds[fitted.model_id]
    assert metadata["solver"]["kind"] == own
    write_arrays(path, {**metadata, "solver": {**metadata["solver"], "kind": other}}, arrays)
    with pytest.raises(CheckpointError, match=f"of the kind '{other}', not '{own}'"):
        type(fitted).from_checkpoint(path)


@pytest.mark.parametrize("name", ["vectorizer.idf", "solver.weights", "solver.bias"])
def test_numbers_that_are_none_are_refused(fitted: SklearnModel, tmp_path: Path, name: str) -> None:
    path = tmp_path / "best.safetensors"
    fitted.save(path)
    metadata, arrays = read_arrays(path, fitted.model_id)
    damaged = arrays[name].copy()
    damaged[-1] = np.nan
    write_arrays(path, metadata, {**arrays, name: damaged})
    with pytest.raises(CheckpointError, match=r"best\.safetensors.*finite"):
        type(fitted).from_checkpoint(path)


def test_arrays_that_do_not_fit_are_refused(fitted: SklearnModel, tmp_path: Path) -> None:
    path = tmp_path / "best.safetensors"
    fitted.save(path)
    metadata, arrays = read_arrays(path, fitted.model_id)
    for name, array in arrays.items():
        for wrong in (array[:-1], np.concatenate([array, array]), None):
            forged = {**arrays, name: wrong} if wrong is not None else dict(arrays)
            if wrong is None:
                del forged[name]
            write_arrays(path, metadata, forged)
            with pytest.raises(CheckpointError):
                type(fitted).from_checkpoint(path)
