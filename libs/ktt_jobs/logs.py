"""The log of a job: its worker's standard output and error, limited in size."""

from __future__ import annotations

import logging
import os
from collections import deque
from pathlib import Path

__all__ = ["BoundedLog", "read_tail"]

_log = logging.getLogger(__name__)
# Bytes kept of a log's beginning and of its end, over all attempts.
_HEAD = 1 << 20
_TAIL = 1 << 16
# Lines, and characters per line, that the error of a failed job shows.
_LINES = 20
_LINE = 500


class BoundedLog:
    """A log file that keeps only the beginning and the end of its output.

    Output that a full disk does not accept is still in `tail`.

    Parameters
    ----------
    path : Path
        Appended to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._room = 0
        self._left_out = 0
        self._end: deque[bytes] = deque()
        self._held = 0
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            self._room = max(0, _HEAD - os.fstat(self._descriptor).st_size)
        except OSError as error:
            _log.warning("no log is kept in %s: %s", path, error)

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        self._end.append(chunk)
        self._held += len(chunk)
        while self._held - len(self._end[0]) >= _TAIL:
            self._held -= len(self._end.popleft())
        kept = chunk[: self._room]
        self._room -= len(kept)
        self._left_out += len(chunk) - len(kept)
        self._put(kept)

    def tail(self) -> tuple[str, ...]:
        """Return the last lines."""
        return _last_lines(b"".join(self._end))

    def close(self) -> None:
        """Write the end of the output, and close the file."""
        if self._left_out:
            end = b"".join(self._end)[-min(self._left_out, _TAIL) :]
            omitted = self._left_out - len(end)
            mark = f"\n... {omitted} bytes left out ...\n" if omitted else ""
            self._put(mark.encode() + end)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _put(self, data: bytes) -> None:
        try:
            while data and self._descriptor >= 0:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            _log.warning("the log %s ends here: %s", self._path, error)
            os.close(self._descriptor)
            self._descriptor = -1


def read_tail(path: Path) -> tuple[str, ...]:
    """Return the last lines of a log file; empty if it does not exist."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL))
            return _last_lines(stream.read(_TAIL))
    except OSError:
        return ()


def _last_lines(data: bytes) -> tuple[str, ...]:
    lines = data.decode("utf-8", errors="replace").splitlines()
    return tuple(line[:_LINE] for line in lines[-_LINES:])
