"""Growing arrays in an unnamed temporary file, or in memory if the disk is full."""

from __future__ import annotations

import io
import logging
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import ResourceExhaustedError

__all__ = ["MEMORY_BYTES", "Spool"]

#: Maximum bytes in memory if there is no room on disk.
MEMORY_BYTES = 2 * 1024**3

_log = logging.getLogger(__name__)


class Spool:
    """A growing array in an unnamed file, which never outlives the process.

    If writing fails, it continues in memory.

    Parameters
    ----------
    folder : Path or None
        Folder of the unnamed file; None for memory.
    dtype : dtype
        Of the numbers.
    """

    def __init__(self, folder: Path | None, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self._bytes = 0
        self._file: IO[bytes] = io.BytesIO()
        if folder is not None:
            try:
                self._file = tempfile.TemporaryFile(dir=folder, buffering=0)
            except OSError as error:
                self._tell(folder, error)

    def append(self, array: NDArray[Any]) -> None:
        """Add numbers.

        Raises
        ------
        ResourceExhaustedError
            If it is kept in memory, and would take more than `MEMORY_BYTES`.
        """
        data = np.ascontiguousarray(array, dtype=self.dtype).data.cast("B")
        if not isinstance(self._file, io.BytesIO):
            try:
                self._write(data)
            except OSError as error:
                self._tell(None, error)
                self._move()
        if isinstance(self._file, io.BytesIO):
            self._check_room(len(data))
            self._write(data)
        self._bytes += len(data)

    def array(self) -> NDArray[Any]:
        """Return the array, read-only: mapped from the file, or from memory."""
        if self._bytes == 0:
            return np.zeros(0, dtype=self.dtype)
        if isinstance(self._file, io.BytesIO):
            return np.frombuffer(self._file.getvalue(), dtype=self.dtype)
        return np.asarray(np.memmap(self._file, dtype=self.dtype, mode="r"))

    def _write(self, data: memoryview) -> None:
        while data:
            data = data[self._file.write(data) :]

    def _move(self) -> None:
        """Move the written data to memory, and free the disk."""
        self._check_room(0)
        with self._file as disk:
            disk.seek(0)
            self._file = io.BytesIO()
            self._file.write(disk.read(self._bytes))

    def _check_room(self, more: int) -> None:
        if self._bytes + more > MEMORY_BYTES:
            raise ResourceExhaustedError(
                f"there is no room on disk for the input, and it takes more than "
                f"{MEMORY_BYTES / 1024**3:.0f} GiB of memory: make room in the workspace's cache "
                "folder, or import fewer rows"
            )

    def _tell(self, folder: Path | None, error: OSError) -> None:
        where = f" in {folder}" if folder is not None else ""
        _log.warning("no room%s for the input, which is kept in memory: %s", where, error.strerror)
