"""Whose error it is: that of a model from outside is not one of KTT."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Iterator
from pathlib import Path

from ktt_core.errors import KttError, UnsupportedError
from ktt_core.registry import outside_modules

__all__ = ["blaming_models"]

_log = logging.getLogger(__name__)

_OURS = ("ktt_core", "ktt_models")


@contextlib.contextmanager
def blaming_models(*, logged: bool = False) -> Iterator[None]:
    """Tell of an error in the code of a model from outside that it is the model's, and where.

    Of the code that an error went through, what counts is the innermost of a model's and of ours:
    what a library raises is the error of who called it.

    Parameters
    ----------
    logged : bool
        Log where it was, for those who see no more than the message.

    Raises
    ------
    UnsupportedError
        In the place of such an error.
    """
    try:
        yield
    except (KttError, MemoryError, OSError):
        raise
    except Exception as error:
        if (told := _told(error)) is None:
            raise
        if logged:
            _log.exception("%s", told)
        raise UnsupportedError(told) from error


def _told(error: Exception) -> str | None:
    models, found = outside_modules(), None
    for frame, line in traceback.walk_tb(error.__traceback__):
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package in models:
            code = frame.f_code
            where = f"{Path(code.co_filename).name}, line {line}, in {code.co_name}"
            found = f"the code of the model {models[package]!r} failed ({where})"
        elif package in _OURS:
            found = None
    return found and f"{found}: {type(error).__name__}: {error}"
