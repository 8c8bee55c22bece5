"""What the Model ABC itself does."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from ktt_core.config import ModelConfig, build_config
from ktt_core.errors import (
    CheckpointError,
    ConflictError,
    DataError,
    InvalidArgumentError,
    UnsupportedError,
)
from ktt_core.model import Batch, Model
from ktt_core.progress import Progress
from ktt_core.taxonomy import Taxonomy

CONFIG = build_config(ModelConfig, "concrete")
TAXONOMY = Taxonomy.from_paths([("a",), ("b",)])


def concrete(**members):
    """Make a model whose abstract methods are filled in, with `members` on top."""
    stand_ins = {name: lambda *_: None for name in Model.__abstractmethods__}
    return type("Concrete", (Model,), {**stand_ins, "model_id": "concrete", **members})(
        TAXONOMY, CONFIG
    )


def test_a_model_without_its_methods_cannot_be_made():
    with pytest.raises(TypeError, match="level_scores"):
        Model(TAXONOMY, CONFIG)  # type: ignore[abstract]


def test_a_model_of_another_package_says_levels_stand_alone_for_one_more_release() -> None:
    former = pytest.warns(DeprecationWarning, match="is scores_comparable_within_level now")
    with former:
        model = concrete(levels_stand_alone=False)
    assert model.scores_comparable_within_level is False
    with former:
        assert Model.levels_stand_alone is True  # type: ignore[attr-defined]
    with former:
        assert concrete(scores_comparable_within_level=False).levels_stand_alone is False


def test_a_new_model_leaves_probabilities_as_they_are():
    assert concrete().temperature == 1.0


def test_export_publishes_what_the_format_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls = []

    def export_artifacts(self, folder):
        (folder / "weights").write_text("yes")

    def pack_bundle(model, artifacts, output, options):
        calls.append((options.dataset, options.reference_set))
        (output / "served").write_bytes((artifacts / "weights").read_bytes())

    monkeypatch.setattr("ktt_packing.client.bundle.pack_bundle", pack_bundle)

    def export_onnx(self, folder):
        (folder / "half").write_text("done")
        raise OSError("the disk is full")

    model = concrete(
        export_formats=frozenset(["bento", "onnx"]),
        export_artifacts=export_artifacts,
        export_onnx=export_onnx,
    )
    folder = model.export("shop", bento=True, reference_set_path=Path("r.parquet"))
    assert folder == Path("build/concrete_shop")
    assert (folder / "served").read_text() == "yes"
    assert calls == [("shop", Path("r.parquet"))]
    with pytest.raises(ConflictError):
        model.export("shop", bento=True)
    with pytest.raises(InvalidArgumentError):
        model.export("../shop", bento=True)
    with pytest.raises(OSError, match="full"):
        model.export("shop")
    assert [path.name for path in tmp_path.iterdir()] == ["build"]


def test_what_packs_a_bundle_is_found_under_its_former_name() -> None:
    with pytest.warns(DeprecationWarning, match="is ktt_packing.client.bundle now"):
        former = importlib.reload(importlib.import_module("ktt_core.packing.bundle"))
    new = importlib.import_module("ktt_packing.client.bundle")
    assert {getattr(former, name) for name in new.__all__} == {
        getattr(new, name) for name in new.__all__
    }


def test_a_format_that_is_not_declared_is_an_error_that_lists_what_is():
    model = concrete(export_formats=frozenset(["bento"]))
    with pytest.raises(UnsupportedError, match="concrete does not export onnx.*bento"):
        model.export("shop")
    with pytest.raises(UnsupportedError, match="no format yet"):
        concrete().export("shop", bento=True)


class Constant(Model):
    """As little as a model can be: it says the same of every text."""

    model_id = "constant"
    said = -1.0

    @classmethod
    def from_checkpoint(cls, path):
        model = cls(Taxonomy.from_paths([("a",), (path.read_text(),)]), CONFIG)
        model.said, model.temperature, model.record.dataset = 2.0, 3.0, "shop"
        return model

    def fit(self, train, val, path=None, best_path=None, resume_from=None, progress=print):
        return self.test(val)

    def save(self, path, optim=None):
        path.write_text("b")

    def level_scores(self, inputs):
        scores = np.array([[self.said, 0.0]], dtype=np.float32)
        return [scores.repeat(len(inputs["text"]), axis=0)]


class Blocks:
    """Three rows, of which the first two come last."""

    n_rows = 3
    taxonomy = TAXONOMY

    def __iter__(self):
        for texts, rows in ((["x"], [2]), (["y", "z"], [0, 1])):
            batch = Batch({"text": texts}, np.array([[row % 2] for row in rows], dtype=np.int32))
            object.__setattr__(batch, "rows", np.array(rows))
            yield batch


def test_a_model_is_tested_in_batches_that_others_see():
    model = Constant(TAXONOMY, CONFIG)
    seen: list[Progress] = []
    observed: list[np.ndarray] = []
    metrics = model.test(Blocks(), seen.append, lambda levels, codes: observed.append(codes))
    assert metrics["leaf_accuracy"] == pytest.approx(1 / 3)
    assert [(event.phase, event.step, event.total) for event in seen] == [
        ("test", 1, 3),
        ("test", 3, 3),
    ]
    assert np.concatenate(observed).ravel().tolist() == [0, 0, 1]


def test_a_metrics_function_of_its_own_is_given_all_rows_at_once():
    def rows(log_proba, codes, taxonomy):
        assert log_proba.shape == (3, taxonomy.n_leaves)
        return {"rows": float(len(codes))}

    class Counting(Constant):
        @classmethod
        def get_metrics_func(cls):
            return rows

    model = Counting(TAXONOMY, CONFIG)
    assert model.test(Blocks()) == model.fit(Blocks(), Blocks()) == {"rows": 3.0}
    empty = type("Empty", (), {"n_rows": 0, "__iter__": lambda self: iter(())})()
    with pytest.raises(DataError, match="no rows"):
        model.test(empty)


def test_loading_takes_over_all_of_a_checkpoint_of_the_same_classes(tmp_path):
    model = Constant(TAXONOMY, CONFIG)
    model.save(tmp_path / "a")
    model.load(tmp_path / "a")
    assert (model.said, model.temperature, model.record.dataset) == (2.0, 3.0, "shop")
    (tmp_path / "a").write_text("c")
    with pytest.raises(CheckpointError, match="another taxonomy"):
        model.load(tmp_path / "a")
    assert model.taxonomy == TAXONOMY


def test_a_reference_set_has_the_rows_in_the_splits_order_and_a_models_features():
    class Featured(Constant):
        def scores_and_features(self, inputs):
            return self.level_scores(inputs), np.array([[ord(text)] for text in inputs["text"]])

    table = Featured(TAXONOMY, CONFIG).gen_reference_set(Blocks())
    assert table.column_names == ["targets", "0", "a", "b"]
    assert table["0"].to_pylist() == [ord("y"), ord("z"), ord("x")]
    assert table["targets"].to_pylist() == ["a", "b", "a"]
    assert Constant(TAXONOMY, CONFIG).gen_reference_set(Blocks()).column_names == [
        "targets",
        "a",
        "b",
    ]
