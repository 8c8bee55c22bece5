"""What the Model ABC itself does."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktt_core.config import ModelConfig, build_config
from ktt_core.errors import UnsupportedError
from ktt_core.model import Model
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


def test_export_calls_the_format_that_is_asked_for():
    calls = []

    def export_bento(self, dataset_name, reference_set_path):
        calls.append((dataset_name, reference_set_path))
        return Path("build")

    model = concrete(export_formats=frozenset(["bento"]), export_bento=export_bento)
    assert model.export("shop", bento=True, reference_set_path=Path("r.parquet")) == Path("build")
    assert calls == [("shop", Path("r.parquet"))]


def test_a_format_that_is_not_declared_is_an_error_that_lists_what_is():
    model = concrete(export_formats=frozenset(["bento"]))
    with pytest.raises(UnsupportedError, match="concrete does not export onnx.*bento"):
        model.export("shop")
    with pytest.raises(UnsupportedError, match="no format yet"):
        concrete().export("shop", bento=True)
