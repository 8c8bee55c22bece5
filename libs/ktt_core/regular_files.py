"""Opening of files that come from outside: a pipe or a device is refused, and nothing hangs."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["open_regular", "read_regular"]


def open_regular(path: str | Path, *, dir_fd: int | None = None) -> int:
    """Open a file for reading and return its descriptor.

    Raises
    ------
    OSError
        If it cannot be opened, or is not a regular file; ``strerror`` says what it is.
    """
    # Without O_NONBLOCK, opening a pipe waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK, dir_fd=dir_fd)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    what = "it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file"
    raise OSError(errno.EINVAL, what, str(path))


def read_regular(path: str | Path) -> bytes:
    """Return a regular file's content; raises as `open_regular`."""
    with os.fdopen(open_regular(path), "rb") as file:
        return file.read()
