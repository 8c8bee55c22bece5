"""Files that stay what they were when opened, whatever is put in the place of their folder."""

from __future__ import annotations

import io
import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["PinnedFile", "PinnedView", "pin_files"]

#: How often opening starts again because the folder was replaced meanwhile.
_ATTEMPTS = 10


class PinnedFile:
    """An open file that any number of readers share; it is closed when nobody holds it any more.

    Parameters
    ----------
    path : Path
        Where it was found; another file may stand there by now.
    descriptor : int
        Its descriptor, which becomes this object's own.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def open(cls, path: Path) -> PinnedFile:
        """Open a file for reading."""
        return cls(path, os.open(path, os.O_RDONLY))

    def view(self) -> PinnedView:
        """Return a reader with a position of its own."""
        return PinnedView(self)


class PinnedView(io.RawIOBase):
    """Reads a pinned file from its own position, so that readers do not disturb each other."""

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
        """Fill `buffer` as far as the file goes; return the bytes read."""
        count = os.preadv(self._file.descriptor, [buffer], self._position)
        self._position += count
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place and return it."""
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
    """Open files of one folder; all of them are of the same folder even if it is being replaced.

    Returns
    -------
    mapping of str to PinnedFile or OSError
        Why a file could not be opened stands in its place.

    Raises
    ------
    OSError
        If the folder cannot be opened.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        # The names are looked up in the folder that was opened, not in the one of that name.
        within = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = {name: _pin(folder / name, within) for name in names}
            missing = any(isinstance(file, FileNotFoundError) for file in found.values())
            # A folder that was replaced is emptied at once; then the new one is there to be read.
            if not missing or attempt == _ATTEMPTS or _same(within, folder):
                break
        finally:
            os.close(within)
    return found


def _pin(path: Path, within: int) -> PinnedFile | OSError:
    try:
        return PinnedFile(path, os.open(path.name, os.O_RDONLY, dir_fd=within))
    except OSError as error:
        return error


def _same(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except FileNotFoundError:
        return False
