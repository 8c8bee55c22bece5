"""Adding bytes to an upload's file."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import TracebackType

from ktt_core.errors import InvalidArgumentError, ResourceExhaustedError

__all__ = ["MAX_CHUNK_BYTES", "UploadWriter"]

#: The largest chunk.
MAX_CHUNK_BYTES = 1024**2

# The disk gets bytes as they come, so that it has little left to do at the end.
_SYNC_BYTES = 32 * 1024**2


class UploadWriter:
    """Adds chunks to a file. When it closes, what was written is on the disk.

    Parameters
    ----------
    path : Path
        The file, which exists.
    size_bytes : int
        How long it may become.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._size = size_bytes
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
        self._written = os.fstat(self._descriptor).st_size
        self._synced = self._written

    def __enter__(self) -> UploadWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def write(self, chunk: bytes) -> None:
        """Add a chunk, whole or not at all.

        Raises
        ------
        InvalidArgumentError
            If it is too large, or there is more than was announced.
        ResourceExhaustedError
            If the disk is full.
        """
        if len(chunk) > MAX_CHUNK_BYTES:
            raise InvalidArgumentError(
                f"a chunk may have {MAX_CHUNK_BYTES:,} bytes, not {len(chunk):,}", field="chunk"
            )
        if self._written + len(chunk) > self._size:
            raise InvalidArgumentError(
                f"more bytes come than the {self._size:,} that were announced", field="chunk"
            )
        try:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            os.ftruncate(self._descriptor, self._written)
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise ResourceExhaustedError(
                    f"the server's disk is full after {self._written:,} of {self._size:,} bytes; "
                    "free space there, and go on"
                ) from error
            raise
        self._written += len(chunk)
        if self._written - self._synced >= _SYNC_BYTES:
            os.fsync(self._descriptor)
            self._synced = self._written
