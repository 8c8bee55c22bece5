"""Advisory locks of files (``flock``), which the system releases however their holder ends.

Some file systems know no locks (an NFS mount without its lock service, a few FUSE ones). Each
caller says what that means for it: an error where a lock is what keeps data whole, nothing where it
only saves work from being done twice.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["is_same_file", "locked", "take_lock", "try_lock"]


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the lock of an open file if it is free; False if another holds it.

    Parameters
    ----------
    descriptor : int
        The lock is held until it, and every copy of it, is closed.
    shared : bool
        Whether others may hold it shared at the same time.

    Raises
    ------
    OSError
        If the file system knows no locks.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        # Over NFS a lock that is held is EACCES.
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def take_lock(descriptor: int, waiting: Callable[[], None] | None = None) -> None:
    """Take the lock of an open file; wait while another holds it.

    Parameters
    ----------
    descriptor : int
    waiting : callable, optional
        Called once if there is anything to wait for.

    Raises
    ------
    OSError
        If the file system knows no locks.
    """
    if waiting is not None:
        if try_lock(descriptor):
            return
        waiting()
    fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextlib.contextmanager
def locked(
    path: Path, *, required: bool = False, waiting: Callable[[], None] | None = None
) -> Iterator[None]:
    """Hold the lock of a file, which is made if missing, for the length of the block.

    Parameters
    ----------
    path : Path
    required : bool
        Whether a file system without locks is an error. Otherwise the block runs without one.
    waiting : callable, optional
        Called once if another holds it.

    Raises
    ------
    OSError
        If the file cannot be opened, or the lock is required and there are none.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            take_lock(descriptor, waiting)
        except OSError:
            if required:
                raise
        yield
    finally:
        os.close(descriptor)


def is_same_file(path: Path, descriptor: int) -> bool:
    """Say whether a name still leads to an open file: another may have removed or replaced it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
