"""Lists of strings as plain arrays, since a checkpoint holds nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError

__all__ = ["pack_strings", "unpack_strings"]


def pack_strings(strings: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Turn strings into arrays a checkpoint can hold.

    Returns
    -------
    data : ndarray of uint8
        The strings' UTF-8 bytes, one after the other.
    offsets : ndarray of int64, shape (n + 1,)
        String i is ``data[offsets[i]:offsets[i + 1]]``.
    """
    encoded = [string.encode() for string in strings]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in encoded], out=offsets[1:])
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets


def unpack_strings(data: NDArray[Any], offsets: NDArray[Any]) -> list[str]:
    """Undo `pack_strings`.

    Raises
    ------
    CheckpointError
        If the arrays are not what `pack_strings` makes.
    """
    bounds = offsets.tolist()
    if (
        data.ndim != 1
        or data.dtype != np.uint8
        or offsets.ndim != 1
        or offsets.dtype.kind not in "iu"
    ):
        raise CheckpointError("a checkpoint's strings are not stored as bytes and offsets")
    if not bounds or bounds[0] != 0 or bounds[-1] != len(data) or np.any(np.diff(offsets) < 0):
        raise CheckpointError("a checkpoint's string offsets do not fit its string bytes")
    raw = data.tobytes()
    try:
        return [raw[begin:end].decode() for begin, end in zip(bounds, bounds[1:], strict=False)]
    except UnicodeDecodeError as error:
        raise CheckpointError(f"a checkpoint's strings are not UTF-8: {error}") from None
