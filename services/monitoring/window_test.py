"""The ring buffer holds the newest rows in order, for any sizes of what is pushed."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.window import Window

DTYPE = np.dtype([("drift", np.float32, (2,)), ("predicted", np.float64)])


def rows(numbers):
    made = np.zeros(len(numbers), dtype=DTYPE)
    made["drift"][:, 0] = numbers
    made["predicted"] = numbers
    return made


@given(size=st.integers(1, 8), pushes=st.lists(st.integers(0, 20), max_size=12))
def test_it_equals_a_bounded_queue(size, pushes):
    window, number = Window(size, DTYPE), 0
    expected: deque[int] = deque(maxlen=size)
    for count in pushes:
        new = list(range(number, number + count))
        number += count
        together = [*expected, *new]
        leaving = window.leaving(rows(new))
        window.push(rows(new))
        expected.extend(new)
        assert leaving["predicted"].tolist() == together[: max(0, len(together) - size)]
        assert window.rows()["predicted"].tolist() == list(expected)
        assert window.rows()["drift"][:, 0].tolist() == list(expected)
        assert len(window) == len(expected)


def test_it_returns_a_copy():
    window = Window(3, DTYPE)
    window.push(rows([1, 2]))
    window.rows()["predicted"] = 9
    assert window.rows()["predicted"].tolist() == [1, 2]


def test_it_needs_room_for_a_row():
    with pytest.raises(ValueError, match="at least one row"):
        Window(0, DTYPE)
