"""Writing of an upload's file."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ktt_core.errors import InvalidArgumentError, UnavailableError
from trainer.os_errors import typed_os_errors
from trainer.upload_info import UploadInfo

__all__ = ["MAX_CHUNK_BYTES", "UploadWriter"]

#: Maximum size of a chunk.
MAX_CHUNK_BYTES = 1024**2

# Bytes are flushed as they arrive, so that little is left for the end.
_SYNC_BYTES = 32 * 1024**2
_REFUSED = "the upload cannot be written"


class UploadWriter:
    """Adds chunks to a file, and flushes them to disk when it closes.

    Parameters
    ----------
    path : Path
        The file, which exists.
    size_bytes : int
        Maximum size of the file.
    complete : callable
        Called when the file is closed, to check whether it is complete; see `finish`.
    """

    def __init__(self, path: Path, size_bytes: int, complete: Callable[[], UploadInfo]) -> None:
        self._size = size_bytes
        self._complete = complete
        # A call may end while its thread still writes.
        self._lock = threading.Lock()
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
        self.close()

    def close(self) -> None:
        """Flush to disk and accept no more bytes. A second call does nothing."""
        with self._lock:
            if self._descriptor < 0:
                return
            try:
                with typed_os_errors(_REFUSED):
                    os.fsync(self._descriptor)
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    def finish(self) -> UploadInfo:
        """Close the file, and complete the upload if all bytes were received.

        Raises
        ------
        InvalidArgumentError
            If its checksum differs from the announced one. The upload is deleted then.
        """
        self.close()
        with typed_os_errors(_REFUSED):
            return self._complete()

    def write(self, chunk: bytes) -> None:
        """Add a chunk completely or not at all.

        Raises
        ------
        InvalidArgumentError
            If it is too large, or exceeds the announced size.
        ResourceExhaustedError
            If the disk is full.
        UnavailableError
            If the call has ended, or the system refuses for another reason.
        """
        if len(chunk) > MAX_CHUNK_BYTES:
            raise InvalidArgumentError(
                f"a chunk may have {MAX_CHUNK_BYTES:,} bytes, not {len(chunk):,}", field="chunk"
            )
        with self._lock:
            if self._descriptor < 0:
                raise UnavailableError("the call that wrote this upload has ended")
            with typed_os_errors(_REFUSED):
                self._add(chunk)

    def _add(self, chunk: bytes) -> None:
        if self._written + len(chunk) > self._size:
            raise InvalidArgumentError(
                f"more bytes are sent than the {self._size:,} that were announced", field="chunk"
            )
        try:
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            os.ftruncate(self._descriptor, self._written)
            raise
        self._written += len(chunk)
        if self._written - self._synced >= _SYNC_BYTES:
            os.fsync(self._descriptor)
            self._synced = self._written
