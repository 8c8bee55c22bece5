"""Hyperparameters that no model can mean are refused before anything is done with them."""

from __future__ import annotations

from typing import Any

import pytest

from ktt_core.errors import InvalidConfigError
from trainer.hyperparameters import check_hyperparameters


def nested(depth: int) -> Any:
    return {"x": nested(depth - 1)} if depth else 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({f"key{n}": 1 for n in range(5000)}, "hyperparameters"),
        ({"alpha": "9" * 10_000}, "hyperparameters.alpha"),
        ({"alpha": ["ok", {"inner": "9" * 10_000}]}, "hyperparameters.alpha"),
        ({"alpha": {"9" * 10_000: 1}}, "hyperparameters.alpha"),
        ({"alpha": 1, "beta": nested(9)}, "hyperparameters.beta"),
        ({"alpha": [[[[[[[[[1]]]]]]]]]}, "hyperparameters.alpha"),
        ({"alpha": [[1] * 200] * 200}, "hyperparameters.alpha"),
        ({"k" * 10_000: 1}, "hyperparameters." + "k" * 60 + "..."),
    ],
)
def test_too_much_is_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        check_hyperparameters(values)
    assert caught.value.field == field
    assert len(str(caught.value)) < 300


def test_what_a_model_can_mean_passes() -> None:
    check_hyperparameters({"alpha": 1e-5, "ngrams": [1, 3], "name": "x" * 4096, "deep": nested(7)})


def test_each_that_is_too_much_is_named() -> None:
    with pytest.raises(InvalidConfigError) as caught:
        check_hyperparameters({"alpha": "9" * 5000, "fine": 1, "beta": nested(9)})
    assert [field for field, _ in caught.value.violations] == [
        "hyperparameters.alpha",
        "hyperparameters.beta",
    ]
