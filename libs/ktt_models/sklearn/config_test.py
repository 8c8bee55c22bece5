"""Hyperparameters are checked where they are given, and profiles only move defaults."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from ktt_core.config import build_config, describe_config
from ktt_core.errors import InvalidConfigError
from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_models.sklearn.config import TfidfConfig


def build(**values: Any) -> TfidfConfig:
    return build_config(TfidfConfig, "tfidf", values)


def test_the_defaults_are_those_of_the_vectorizer() -> None:
    config = build()
    for name, parameter in inspect.signature(TfidfVectorizer).parameters.items():
        if hasattr(config, name):
            assert getattr(config, name) == parameter.default, name


def test_the_original_profile_moves_defaults_and_nothing_that_was_said() -> None:
    config = build(profile="original", min_df=3)
    assert (config.word_ngrams, config.char_ngrams, config.loss) == ((1, 1), None, "modified_huber")
    assert config.min_df == 3
    assert build(profile="original").min_df == 50


def test_a_config_survives_json() -> None:
    for config in (build(), build(profile="original", min_df=0.25, char_ngrams=[2, 3])):
        assert build(**json.loads(json.dumps(config.model_dump(mode="json")))) == config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("word_ngrams", [2, 1]),
        ("word_ngrams", [0, 1]),
        ("word_ngrams", "many"),
        ("char_ngrams", [3]),
        ("min_df", 0),
        ("min_df", 1.5),
        ("min_df", -1),
        ("max_df", 0),
        ("max_features", 0),
        ("max_chars", 0),
        ("max_chars", None),
        ("loss", "hinge"),
        ("epochs", 0),
        ("epochs", "many"),
        ("alpha", float("nan")),
        ("alpha", 1e308),
        ("learning_rate", 0),
        ("learning_rate", 1e308),
        ("word_weight", 1e308),
        ("word_weight", float("inf")),
        ("class_weight", "heavy"),
        ("n_jobs", 0),
        ("profile", "best"),
        ("stem", "klingon"),
        ("profil", "original"),
    ],
)
def test_a_bad_value_names_its_key(key: str, value: Any) -> None:
    with pytest.raises(InvalidConfigError, match=key):
        build(**{key: value})


def test_nothing_at_all_to_look_at_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match="char_ngrams"):
        build(word_ngrams=None, char_ngrams=None)


def test_every_field_has_a_description() -> None:
    assert all(field["description"] for field in describe_config(TfidfConfig))
