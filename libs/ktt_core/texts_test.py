"""The one rule for texts to classify, and the form that an import stores."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktt_core.errors import InvalidArgumentError
from ktt_core.texts import MAX_TEXT_BYTES, check_text, is_blank, squash


def test_white_space_and_controls_become_single_spaces() -> None:
    assert squash("\ufeff a\x00\tb\u00a0\u2028 c\x85 ") == "\ufeff a b c"


@given(st.text(st.sampled_from("\0\t \u00a0\u2028\x85\ufeffa") | st.characters()))
def test_a_text_is_blank_if_nothing_is_left_of_it(text: str) -> None:
    assert is_blank(text) == (squash(text) == "")


@pytest.mark.parametrize("text", ["a", "☃", "\0a", "a" * MAX_TEXT_BYTES, "ä" * 500_000])
def test_what_can_be_classified_has_a_size(text: str) -> None:
    assert check_text(text, "text 1") == len(text.encode())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text 7 is empty"),
        ("\0", "text 7 is empty"),
        (" \t\r\n\u2003\x85", "text 7 is empty"),
        ("a" * (MAX_TEXT_BYTES + 1), "text 7 has 1,000,001 bytes; at most 1,000,000 are read"),
        ("ä" * 500_001, "text 7 has 1,000,002 bytes; at most 1,000,000 are read"),
        ("secret \ud800", "text 7 is not valid Unicode: it holds half of a surrogate pair"),
        (None, "text 7 is not a string, but NoneType"),
    ],
)
def test_what_cannot_be_classified_is_told_without_its_words(text: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_text(text, "text 7")
    assert str(caught.value).startswith(message) and "secret" not in str(caught.value)
