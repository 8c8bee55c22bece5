"""Texts in the form that an import stores, used in training and prediction."""

from __future__ import annotations

from collections.abc import Sequence

from ktt_core.texts import squash, utf8_size

__all__ = ["clean_texts", "squash"]


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
        utf8_size(text, f"text {number}")
    return [squash(text) for text in texts]
