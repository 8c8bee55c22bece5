"""Every bundled model has a page, whose tables of hyperparameters are the model's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ktt_core.config import ModelConfig
from ktt_core.registry import get_model, list_models
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.sklearn.config import TfidfConfig

PAGES = Path.cwd() / "docs/models"
BUNDLED = [entry.id for entry in list_models() if entry.load.__module__.startswith("ktt_models.")]
COMMON = {"seed", "profile"}


def tables(page: Path) -> dict[str, list[str]]:
    """Return the cells of the page's rows that begin with a name, by that name."""
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", page.read_text(encoding="utf-8"), re.M)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


def own_fields(config: type[ModelConfig], base: type[ModelConfig]) -> set[str]:
    """Return the fields that a model adds, or whose default it changes."""
    return {
        name
        for name, field in config.model_fields.items()
        if name not in base.model_fields or base.model_fields[name].default != field.default
    }


def shown(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def test_each_bundled_model_has_a_page_and_no_other_has() -> None:
    assert sorted(page.stem for page in PAGES.glob("*.md")) == sorted(BUNDLED)


@pytest.mark.parametrize("model", BUNDLED)
def test_a_page_has_the_models_own_hyperparameters_and_their_defaults(model: str) -> None:
    config = get_model(model).config_class
    base = EncoderConfig if issubclass(config, EncoderConfig) else TfidfConfig
    rows = tables(PAGES / f"{model}.md")
    names = own_fields(config, base)
    if model == "tfidf_lsgd":
        # The page that says what both tf-idf models share.
        names = set(config.model_fields) - COMMON
    assert set(rows) == names
    original = getattr(config, "original", {})
    for name, (default, originally, description) in rows.items():
        field = config.model_fields[name]
        assert default == shown(field.default), name
        assert description == field.description, name
        assert originally == (shown(original[name]) if name in original else ""), name


def test_the_page_of_encoders_has_what_all_encoder_models_share() -> None:
    rows = tables(PAGES.parent / "encoders.md")
    assert set(rows) == set(EncoderConfig.model_fields) - COMMON
    for name, (default, description) in rows.items():
        assert default == shown(EncoderConfig.model_fields[name].default), name
        assert description == EncoderConfig.model_fields[name].description, name


@pytest.mark.parametrize("model", BUNDLED)
def test_a_page_has_formula_picture_and_advice(model: str) -> None:
    text = (PAGES / f"{model}.md").read_text(encoding="utf-8")
    for part in ("```mermaid", "## Formula", "## Hyperparameters", "## When to use it"):
        assert part in text, part
