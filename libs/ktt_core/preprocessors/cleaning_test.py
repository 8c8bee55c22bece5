"""Texts for prediction are cleaned as those of an import."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktt_core.errors import InvalidArgumentError
from ktt_core.preprocessors.cleaning import clean_texts, is_blank, squash


def test_white_space_and_controls_become_single_spaces():
    assert squash("\ufeff a\x00\tb\u00a0\u2028 c\x85 ") == "\ufeff a b c"
    assert clean_texts(["  ", "a\r\nb"]) == ["", "a b"]


@given(st.text(st.sampled_from("\0\t \u00a0\u2028\x85\ufeffa") | st.characters()))
def test_a_text_is_blank_if_nothing_is_left_of_it(text: str) -> None:
    assert is_blank(text) == (squash(text) == "")


def test_an_invalid_text_is_named_by_its_number():
    with pytest.raises(InvalidArgumentError, match="text 12 is not a string, but int"):
        clean_texts(["a", 3], read=10)  # type: ignore[list-item]
    with pytest.raises(InvalidArgumentError, match="text 1 is not valid Unicode"):
        clean_texts(["\ud800"])
