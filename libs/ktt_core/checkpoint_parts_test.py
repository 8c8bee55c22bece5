"""Parts of a checkpoint are told apart by their names."""

from __future__ import annotations

import numpy as np
import pytest

from ktt_core.checkpoint_parts import arrays_of, named_for, stored_temperature
from ktt_core.errors import CheckpointError


def test_each_part_gets_its_own_arrays_back() -> None:
    first, second = {"a.b": np.zeros(1)}, {"b": np.ones(2)}
    whole = named_for("net", first) | named_for("network", second)
    assert arrays_of("net", whole).keys() == first.keys()
    assert arrays_of("network", whole).keys() == second.keys()


def test_a_temperature_is_a_finite_number_above_zero() -> None:
    assert stored_temperature({"temperature": 2}) == 2.0
    assert stored_temperature({"temperature": 0.5}) == 0.5
    for wrong in (True, "1", None, [1.0], 0, -1.0, float("nan"), float("inf"), 10**400):
        with pytest.raises(CheckpointError, match="is no finite number above 0"):
            stored_temperature({"temperature": wrong})
