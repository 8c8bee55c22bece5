"""What is a text: the rule for all that is to be classified, and its form after an import."""

from __future__ import annotations

import re

from ktt_core.errors import InvalidArgumentError

__all__ = ["MAX_TEXT_BYTES", "check_text", "is_blank", "squash", "utf8_size"]

#: Of a text to classify, as UTF-8. No model reads as much.
MAX_TEXT_BYTES = 1_000_000

# Control characters count as whitespace: a NUL or a tab has no meaning for a model.
_SPACES = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_NO_SPACE = re.compile(r"[^\s\x00-\x1f\x7f-\x9f]")


def squash(text: str) -> str:
    """Replace every run of whitespace and control characters by one space, and strip."""
    return _SPACES.sub(" ", text).strip(" ")


def is_blank(text: str) -> bool:
    """Return whether `squash` leaves nothing, without the time that it takes for a long text."""
    return _NO_SPACE.search(text) is None


def utf8_size(text: object, name: str) -> int:
    """Return the bytes of a text as UTF-8.

    Parameters
    ----------
    text : object
    name : str
        What the text is called in messages, which do not quote it.

    Raises
    ------
    InvalidArgumentError
        If it is not a string, or not valid Unicode.
    """
    if not isinstance(text, str):
        raise InvalidArgumentError(f"{name} is not a string, but {type(text).__name__}")
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise InvalidArgumentError(
            f"{name} is not valid Unicode: it holds half of a surrogate pair; give it as UTF-8"
        ) from None


def check_text(text: object, name: str) -> int:
    """Check that a text can be classified, and return its bytes as UTF-8.

    The same texts are refused by a bundle, by ``Predict`` of an exporter and by ``ktt predict``.

    Parameters
    ----------
    text : object
    name : str
        What the text is called in messages, which do not quote it.

    Raises
    ------
    InvalidArgumentError
        If it is not a string, not valid Unicode, larger than `MAX_TEXT_BYTES`, or empty but for
        whitespace and control characters.
    """
    size = utf8_size(text, name)
    if size > MAX_TEXT_BYTES:
        raise InvalidArgumentError(
            f"{name} has {size:,} bytes; at most {MAX_TEXT_BYTES:,} are read"
        )
    if is_blank(str(text)):
        raise InvalidArgumentError(f"{name} is empty")
    return size
