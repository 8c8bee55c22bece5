"""The parts of a model in the one file that holds them all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ktt_core.errors import CheckpointError

__all__ = ["arrays_of", "named_for", "stored_temperature"]

Arrays = dict[str, NDArray[Any]]


def named_for(part: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return a part's arrays under the names that a checkpoint has for them."""
    return {f"{part}.{name}": array for name, array in arrays.items()}


def arrays_of(part: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Undo `named_for`: return the arrays of one part of a checkpoint."""
    start = f"{part}."
    return {name[len(start) :]: array for name, array in arrays.items() if name.startswith(start)}


def stored_temperature(metadata: Mapping[str, Any]) -> float:
    """Return a checkpoint's temperature.

    Raises
    ------
    KeyError
        If it has none.
    CheckpointError
        If that is no finite number above 0.
    """
    found = metadata["temperature"]
    # A whole number may be too large for a float; true and "1" are none.
    whole = type(found) is int and found < 2**53
    if not ((whole or type(found) is float) and math.isfinite(found) and found > 0):
        raise CheckpointError(f"the temperature {found!r:.40} is no finite number above 0")
    return float(found)
