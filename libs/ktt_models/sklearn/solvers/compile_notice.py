"""Notification that something is being compiled. Imports no numba."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

__all__ = ["on_compiling", "tell_compiling"]

_waiting: list[Callable[[], None]] = []


@contextlib.contextmanager
def on_compiling(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` once if anything is compiled in the body, in the compiling thread."""
    told = False

    def once() -> None:
        nonlocal told
        if not told:
            told = True
            tell()

    _waiting.append(once)
    try:
        yield
    finally:
        _waiting.remove(once)


def tell_compiling() -> None:
    """Notify the callbacks."""
    for tell in list(_waiting):
        tell()
