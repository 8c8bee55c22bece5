"""Numbers collected in a file without a name, or in memory where there is no room for one."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import ResourceExhaustedError

__all__ = ["MEMORY_BYTES", "Spool"]

#: What is kept in memory where there is no disk to keep it.
MEMORY_BYTES = 2 * 1024**3


class Spool:
    """A growing array on disk; nothing is left of it however the process ends.

    Parameters
    ----------
    folder : Path or None
        Where the file without a name is; None for memory.
    dtype : dtype
        Of the numbers.
    """

    def __init__(self, folder: Path | None, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self._bytes = 0
        self._file: IO[bytes] = (
            io.BytesIO() if folder is None else tempfile.TemporaryFile(dir=folder, buffering=0)
        )

    def append(self, array: NDArray[Any]) -> None:
        """Add numbers.

        Raises
        ------
        OSError
            If the disk is full.
        ResourceExhaustedError
            If it is kept in memory, and would take more than `MEMORY_BYTES`.
        """
        data = np.ascontiguousarray(array, dtype=self.dtype).data.cast("B")
        self._bytes += len(data)
        if isinstance(self._file, io.BytesIO) and self._bytes > MEMORY_BYTES:
            raise ResourceExhaustedError(
                f"there is no disk to keep the input on, and it takes more than "
                f"{MEMORY_BYTES / 1024**3:.0f} GiB of memory: make room in the workspace's cache "
                "folder, or import fewer rows"
            )
        while data:
            data = data[self._file.write(data) :]

    def array(self) -> NDArray[Any]:
        """Return all of it, mapped into memory and read-only; the file lives as long as this."""
        if self._bytes == 0:
            return np.zeros(0, dtype=self.dtype)
        if isinstance(self._file, io.BytesIO):
            return np.frombuffer(self._file.getbuffer(), dtype=self.dtype)
        return np.memmap(self._file, dtype=self.dtype, mode="r")
