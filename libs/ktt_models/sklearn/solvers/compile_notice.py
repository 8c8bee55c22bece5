"""Word that something is being compiled, for those who wait for it. Imports no numba."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

__all__ = ["on_compiling", "tell_compiling"]

_waiting: list[Callable[[], None]] = []


@contextlib.contextmanager
def on_compiling(tell: Callable[[], None]) -> Iterator[None]:
    """Have `tell` called once if anything is compiled meanwhile; from whichever thread does it."""
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
    """Call those who wait."""
    for tell in list(_waiting):
        tell()
