"""Open files that stay readable and unchanged when their folder is replaced."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from ktt_core.regular_files import open_regular

__all__ = ["PinnedFile", "PinnedView", "pin_files"]

#: Number of retries when the folder is replaced during opening.
_ATTEMPTS = 10


class PinnedFile:
    """An open file shared by any number of readers, and closed with the last reference.

    Parameters
    ----------
    path : Path
        Original path; another file may be there by now.
    descriptor : int
        An open file descriptor, which this object takes ownership of.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def open(cls, path: Path) -> PinnedFile:
        """Open a file for reading."""
        return cls(path, open_regular(path))

    def view(self) -> PinnedView:
        """Return a reader with its own position."""
        return PinnedView(self)


class PinnedView(io.RawIOBase):
    """Reads a pinned file at its own position, independently of other readers."""

    def __init__(self, file: PinnedFile) -> None:
        self._file = file
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Read into `buffer`; return the number of bytes, fewer than its size only at the end."""
        count = os.preadv(self._file.descriptor, [buffer], self._position)
        self._position += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position and return it."""
        starts = {
            io.SEEK_SET: 0,
            io.SEEK_CUR: self._position,
            io.SEEK_END: os.fstat(self._file.descriptor).st_size,
        }
        self._position = max(0, starts[whence] + offset)
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position


def pin_files(folder: Path, names: Sequence[str]) -> Mapping[str, PinnedFile | OSError]:
    """Open files of one folder, consistently even while the folder is being replaced.

    Returns
    -------
    mapping of str to PinnedFile or OSError
        Files that could not be opened have the error as their value.

    Raises
    ------
    OSError
        If the folder cannot be opened.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        # Names are resolved within this open folder, even if its path now leads to another.
        within = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = {name: _pin(folder / name, within) for name in names}
            missing = any(isinstance(file, FileNotFoundError) for file in found.values())
            # A replaced folder is emptied at once; then retry with the new one.
            if not missing or attempt == _ATTEMPTS or _same(within, folder):
                break
        finally:
            os.close(within)
    return found


def _pin(path: Path, within: int) -> PinnedFile | OSError:
    try:
        return PinnedFile(path, open_regular(path.name, dir_fd=within))
    except OSError as error:
        return error


def _same(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False
