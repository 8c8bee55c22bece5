"""What encoder models can be told."""

from __future__ import annotations

from typing import Any

import pytest

from ktt_core.config import build_config, describe_config
from ktt_core.errors import InvalidConfigError
from ktt_models.pytorch.config import EncoderConfig


def test_the_original_profile_sets_what_nothing_else_sets() -> None:
    config = build_config(EncoderConfig, "m", {"profile": "original", "pooling": "mean"})
    assert (config.pooling, config.warmup, config.clip_norm) == ("mean", 0.0, None)
    assert build_config(EncoderConfig, "m").pooling == "mean"


def test_every_field_is_described_and_every_number_has_a_range() -> None:
    for row in describe_config(EncoderConfig):
        assert row["description"], row["name"]
        if "integer" in row["type"] or "number" in row["type"]:
            assert row["limits"], row["name"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dropout": 1.0}, "dropout = 1.0"),
        ({"max_len": 3}, "max_len = 3"),
        ({"pooling": "max"}, "pooling = 'max'"),
        ({"precision": "fp8"}, "precision = 'fp8'"),
        ({"batch_size": True}, "true and false are not numbers"),
        ({"encoder": ""}, "encoder = ''"),
        ({"processes": 0}, "processes = 0"),
        ({"epoch": 3}, "has no hyperparameter 'epoch'"),
        (
            {"batch_size": 4, "accumulate": 3, "processes": 2},
            r"batch_size = 4 .* = 6 parts: raise batch_size",
        ),
    ],
)
def test_what_is_out_of_range_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        build_config(EncoderConfig, "m", values)
