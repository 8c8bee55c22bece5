"""Which of a request's fields an error is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ktt_core.errors import InvalidArgumentError

__all__ = ["naming", "renaming"]


@contextmanager
def naming(field: str) -> Iterator[None]:
    """Name the field in an `InvalidArgumentError` of the body that names none."""
    try:
        yield
    except InvalidArgumentError as error:
        error.field = error.field or field
        raise


@contextmanager
def renaming(names: Mapping[str, str]) -> Iterator[None]:
    """Give the fields that `InvalidArgumentError`s of the body name their other names."""
    try:
        yield
    except InvalidArgumentError as error:
        error.rename_fields(lambda field: names.get(field, field))
        raise
