"""Strings survive as arrays, and arrays that are no strings are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.checkpoint_strings import pack_strings, unpack_strings
from ktt_core.errors import CheckpointError


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=20))
def test_strings_survive_packing(strings: list[str]) -> None:
    assert unpack_strings(*pack_strings(strings)) == strings


def test_strings_that_do_not_fit_their_offsets_are_refused() -> None:
    data, offsets = pack_strings(["ab", "é"])
    for wrong in (offsets[:-1], offsets + 1, offsets[::-1], np.array([0, 3, 4]), offsets[:0]):
        with pytest.raises(CheckpointError):
            unpack_strings(data, wrong)
