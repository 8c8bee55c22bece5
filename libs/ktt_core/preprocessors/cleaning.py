"""Texts in the form that an import stores, used in training and prediction."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ktt_core.errors import InvalidArgumentError

__all__ = ["clean_texts", "is_blank", "squash"]

# Control characters count as whitespace: a NUL or a tab has no meaning for a model.
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_NO_SPACE = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]")


def squash(text: str) -> str:
    """Replace every run of whitespace and control characters by one space, and strip."""
    return _SPACES.sub(" ", text).strip(" ")


def is_blank(text: str) -> bool:
    """Return whether `squash` leaves nothing, without the time that it takes for a long text."""
    return _NO_SPACE.search(text) is None


def clean_texts(texts: Sequence[str], read: int = 0) -> list[str]:
    """Return texts as an import would have stored them.

    Parameters
    ----------
    texts : sequence of str
    read : int
        Number of texts before these, for messages.

    Raises
    ------
    InvalidArgumentError
        If a text is not a string or not valid Unicode; the message has its number.
    """
    for number, text in enumerate(texts, read + 1):
        if not isinstance(text, str):
            raise InvalidArgumentError(f"text {number} is not a string, but {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError(
                f"text {number} is not valid Unicode; give it as UTF-8: {text[:60]!r}"
            ) from None
    return [squash(text) for text in texts]
