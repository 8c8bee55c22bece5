"""Compiled once per machine, not once per process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

__all__ = ["compiled"]


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function with numba and keep the machine code beside its source or in a cache.

    Compiling takes seconds and every training run is a process of its own. Where there is no
    folder to keep the code in (a read-only system without a home), each process compiles.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(function, cache=True, **options)
        except RuntimeError:  # numba: "cannot cache function: no locator available"
            return numba.njit(function, **options)

    return decorate
