"""Texts for prediction are cleaned as those of an import."""

from __future__ import annotations

import pytest

from ktt_core.errors import InvalidArgumentError
from ktt_core.preprocessors.cleaning import clean_texts


def test_texts_are_squashed():
    assert clean_texts(["  ", "a\r\nb"]) == ["", "a b"]


def test_an_invalid_text_is_named_by_its_number():
    with pytest.raises(InvalidArgumentError, match="text 12 is not a string, but int"):
        clean_texts(["a", 3], read=10)  # type: ignore[list-item]
    with pytest.raises(InvalidArgumentError, match="text 1 is not valid Unicode"):
        clean_texts(["\ud800"])
