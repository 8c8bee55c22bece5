"""What the Model ABC itself does."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktt_core.config import ModelConfig, build_config
from ktt_core.errors import ConflictError, InvalidArgumentError, UnsupportedError
from ktt_core.model import Model
from ktt_core.packing import bundle
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

    monkeypatch.setattr(bundle, "pack_bundle", pack_bundle)

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


def test_a_format_that_is_not_declared_is_an_error_that_lists_what_is():
    model = concrete(export_formats=frozenset(["bento"]))
    with pytest.raises(UnsupportedError, match="concrete does not export onnx.*bento"):
        model.export("shop")
    with pytest.raises(UnsupportedError, match="no format yet"):
        concrete().export("shop", bento=True)
