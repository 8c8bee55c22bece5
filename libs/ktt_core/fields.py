"""Saying which field of a request is at fault."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ktt_core.errors import InvalidArgumentError

__all__ = ["at_field", "within"]


@contextlib.contextmanager
def at_field(field: str) -> Iterator[None]:
    """Name the field of an InvalidArgumentError that names none."""
    try:
        yield
    except InvalidArgumentError as error:
        error.field = error.field or field
        raise


@contextlib.contextmanager
def within(message: str, but: tuple[str, ...] = ()) -> Iterator[None]:
    """Name the message that the fields of an InvalidArgumentError are of.

    Parameters
    ----------
    message : str
    but : tuple of str
        Fields that are not of this message.
    """
    try:
        yield
    except InvalidArgumentError as error:
        error.rename_fields(lambda field: field if field in but else f"{message}.{field}")
        raise
