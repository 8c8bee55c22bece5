"""Hyperparameters: defaults, overrides, and errors of invalid ones."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
import pytest

from ktt_core.config import (
    ModelConfig,
    build_config,
    describe_config,
    parse_assignments,
    read_hyperparameters,
)
from ktt_core.errors import InvalidConfigError, NotFoundError


class Config(ModelConfig):
    epochs: int = pydantic.Field(5, ge=1, le=100, description="Passes over the training split.")
    alpha: float = pydantic.Field(0.1, gt=0, description="Weight of the penalty.")
    min_df: int | float = pydantic.Field(1, gt=0, description="Rows a term needs, or their share.")
    bounded: Annotated[int, pydantic.Field(ge=1)] | Annotated[float, pydantic.Field(gt=0, lt=1)] = 1
    max_features: int | None = pydantic.Field(None, ge=1, description="Most terms kept.")
    loss: Literal["softmax", "hinge"] = pydantic.Field("softmax", description="Loss function.")
    stem: bool = pydantic.Field(True, description="Whether words are stemmed.")
    sizes: tuple[int, ...] = pydantic.Field((4, 2), min_length=1, description="Hidden sizes.")
    pairs: list[tuple[int, int]] = []
    flags: list[bool] = []
    rate: Annotated[float, pydantic.Field(ge=0)] | None = None


def build(*overrides):
    return build_config(Config, "tfidf_test", *overrides)


def test_later_overrides_take_precedence():
    config = build({"epochs": 3, "alpha": 2}, {"epochs": 7})
    assert (config.epochs, config.alpha, config.loss, config.seed) == (7, 2.0, "softmax", 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("epochs", 101),
        ("epochs", 1.5),
        ("epochs", "many"),
        ("epochs", True),
        ("epochs", None),
        ("alpha", 0),
        ("alpha", float("nan")),
        ("alpha", float("inf")),
        ("alpha", False),
        ("min_df", True),
        ("max_features", True),
        ("rate", True),
        ("loss", "squared"),
        ("sizes", []),
        ("sizes", ["a"]),
        ("sizes", [True, 2]),
        ("pairs", [[1, True]]),
        ("seed", -1),
        ("seed", 2**32),
    ],
)
def test_a_bad_value_is_an_error_that_names_model_key_and_value(key, value):
    with pytest.raises(InvalidConfigError) as error:
        build({key: value})
    for part in ("tfidf_test", key, str(value)):
        assert part in str(error.value)


def test_a_switch_takes_true_and_false():
    assert build({"stem": False}).stem is False
    assert build({"flags": [True, False]}).flags == [True, False]


@pytest.mark.parametrize("value", [0, "some"])
def test_a_value_of_a_union_is_one_problem_named_by_its_key_only(value):
    with pytest.raises(InvalidConfigError) as error:
        build({"bounded": value})
    assert str(error.value).startswith(f"tfidf_test: bounded = {value!r}: ")
    assert len(str(error.value).splitlines()) == 1
    assert "constrained" not in str(error.value)


def test_a_wrong_item_is_named_by_its_position():
    with pytest.raises(InvalidConfigError, match=r"sizes\.1 = 'a'"):
        build({"sizes": [1, "a"]})


def test_an_unknown_key_is_an_error_that_lists_the_known_ones():
    with pytest.raises(InvalidConfigError, match="'epoch'.*epochs.*sizes"):
        build({"epoch": 3})


def test_all_problems_are_reported_together():
    with pytest.raises(InvalidConfigError) as error:
        build({"epochs": 0, "nonsense": 1, "loss": "x"})
    problems = str(error.value).splitlines()
    assert len(problems) == 3
    assert sorted(error.value.violations) == sorted(
        (key, problem)
        for problem in problems
        for key in ("epochs", "nonsense", "loss")
        if key in problem.partition(";")[0]
    )


def test_long_values_are_shortened():
    with pytest.raises(InvalidConfigError) as error:
        build({"epochs": "x" * 10_000, "k" * 10_000: 1})
    assert len(str(error.value)) < 1500


def test_a_config_cannot_be_changed():
    with pytest.raises(pydantic.ValidationError):
        build().epochs = 3


def test_assigned_values_are_json_or_else_text():
    assert parse_assignments(
        ["a=1", "b=1e-3", "c=true", "d=[1, 2]", "e=word", "f=x=y", ' g ="1"', "h=", "i=null"]
    ) == {
        "a": 1,
        "b": 1e-3,
        "c": True,
        "d": [1, 2],
        "e": "word",
        "f": "x=y",
        "g": "1",
        "h": "",
        "i": None,
    }


@pytest.mark.parametrize("assignment", ["epochs", "=3", " =3", "", "a=" + "x" * 5000])
def test_invalid_assignments_are_refused(assignment):
    with pytest.raises(InvalidConfigError, match="--set"):
        parse_assignments([assignment])


def test_deep_nesting_is_text():
    text = "[" * 4000
    assert parse_assignments([f"a={text}"]) == {"a": text}


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
def test_a_file_holds_one_object_per_model(tmp_path, prefix):
    path = tmp_path / "hyperparameters.json"
    path.write_bytes(prefix + b'{"tfidf_test": {"epochs": 3}}')
    assert read_hyperparameters(path) == {"tfidf_test": {"epochs": 3}}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"a": 1}', b"\xff\xfe", b"[" * 100_000, b"9" * 10_000]
)
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "hyperparameters.json"
    path.write_bytes(content)
    with pytest.raises(InvalidConfigError, match="hyperparameters.json"):
        read_hyperparameters(path)


def test_a_missing_file_and_a_folder_are_errors(tmp_path):
    with pytest.raises(NotFoundError, match="none.json"):
        read_hyperparameters(tmp_path / "none.json")
    with pytest.raises(InvalidConfigError):
        read_hyperparameters(tmp_path)


def test_the_listing_states_type_default_range_and_meaning():
    rows = {row["name"]: row for row in describe_config(Config)}
    assert list(rows)[0] == "seed"
    assert rows["epochs"] == {
        "name": "epochs",
        "type": "integer",
        "default": 5,
        "limits": {"minimum": 1, "maximum": 100},
        "description": "Passes over the training split.",
    }
    assert rows["alpha"]["limits"] == {"exclusiveMinimum": 0}
    assert rows["min_df"]["type"] == "integer or number"
    assert rows["min_df"]["limits"] == {"exclusiveMinimum": 0}
    assert rows["max_features"]["type"] == "integer or null"
    assert rows["max_features"]["limits"] == {"minimum": 1}
    assert rows["loss"]["limits"] == {"enum": ["softmax", "hinge"]}
    assert rows["sizes"]["limits"] == {"minItems": 1}
