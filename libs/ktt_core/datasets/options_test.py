from __future__ import annotations

import json
from typing import Any

import pytest

from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import InvalidArgumentError


def test_json_round_trip() -> None:
    options = ImportOptions(
        "text", level_columns=("a", "b"), depth=2, split_column="fold", seed=7, on_error="skip"
    )
    assert ImportOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"text": ""}, "column of the texts"),
        ({"classes": None}, "in one way"),
        ({"level_columns": ("a", "b")}, "in one way"),
        ({"classes": None, "level_columns": ("a", "")}, "column name is empty"),
        ({"classes": None, "level_columns": ("a", "a")}, "two different things"),
        ({"classes": None, "level_columns": ("a",), "sep": ">"}, "--sep belongs to"),
        ({"classes": None, "level_columns": tuple(map(str, range(65)))}, "more than 64"),
        ({"classes": "text"}, "two different things"),
        ({"split_column": "path"}, "two different things"),
        ({"split_column": "fold", "train_ratio": 0.7}, "fold decides; leave out --train-ratio"),
        ({"split_column": "fold", "val_ratio": 0.2}, "fold decides; leave out --train-ratio"),
        ({"sep": ""}, "must not be empty"),
        ({"depth": 0}, "depth must be"),
        ({"depth": -1}, "depth must be"),
        ({"depth": 65}, "depth must be"),
        ({"depth": True}, "depth must be"),
        ({"depth": 2.0}, "depth must be"),
        ({"depth": "all"}, "depth must be"),
        ({"train_ratio": 0.0, "val_ratio": 0.5}, "above 0"),
        ({"train_ratio": 1.1}, "train-ratio must be"),
        ({"train_ratio": float("nan")}, "train-ratio must be"),
        ({"val_ratio": -0.1}, "val-ratio must be"),
        ({"train_ratio": 0.9, "val_ratio": 0.2}, "more than 1"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"seed": 0.5}, "seed"),
        ({"min_rows_per_leaf": 0}, "min-rows-per-leaf"),
        ({"on_error": "ignore"}, "on-error"),
    ],
)
def test_options_out_of_range_or_in_conflict(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        ImportOptions(**{"text": "text", "classes": "path", **wrong})
    # Labels given in two ways are reported for either field.
    assert caught.value.field in {*wrong, "classes"}


def test_ratios_that_add_up_to_one_up_to_rounding_are_accepted() -> None:
    ImportOptions("text", "path", train_ratio=0.7, val_ratio=0.3)
    ImportOptions("text", "path", train_ratio=1, val_ratio=0)


def test_unknown_keys_are_named() -> None:
    with pytest.raises(InvalidArgumentError, match="shape"):
        ImportOptions.from_json({"text": "text", "classes": "path", "shape": 1})
