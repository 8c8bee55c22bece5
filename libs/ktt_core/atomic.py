"""Writes that happen whole or not at all: temporary name, fsync, rename, fsync of the folder.

A writer holds a lock on its temporary file or folder, which the system releases however the writer
ends. So what a killed writer left is told from what a living one is still writing, even between
containers that share a volume.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ktt_core.errors import ConflictError
from ktt_core.locks import take_lock, try_lock

__all__ = [
    "TEMPORARY_PREFIX",
    "atomic_directory",
    "atomic_file",
    "fsync_directory",
    "hold_temporary",
    "sweep_leftovers",
]

#: Every unfinished file or folder begins with this; readers skip it, `sweep_leftovers` removes it.
TEMPORARY_PREFIX = ".tmp-"

# From <linux/fs.h> and <fcntl.h>: renameat2's flag to swap two names, and "relative to the working
# directory".
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def fsync_directory(path: Path) -> None:
    """Make renames inside `path` durable."""
    _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, on error it is removed.

    Parameters
    ----------
    path : Path
        The final file. Its folder is made if missing.
    """
    with _folder_for(path.parent), hold_temporary(lambda: _make_file(path)) as temporary:
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            _fsync(temporary)
            temporary.replace(path)
            fsync_directory(path.parent)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.filename is None:
                # A write that finds the disk full does not say to which file.
                error.filename = str(path)
            raise


@contextlib.contextmanager
def atomic_directory(path: Path, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it becomes `path`, on error it is removed.

    Parameters
    ----------
    path : Path
        The final folder.
    replace : bool
        Whether a folder of that name may exist; it is then swapped for the new one and removed.

    Raises
    ------
    ConflictError
        If `path` exists and `replace` is false. Of two writers at once, one wins whole and the
        other gets this.
    """
    with _folder_for(path.parent), hold_temporary(lambda: _make_folder(path)) as temporary:
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())
            for folder, _, files in os.walk(temporary):
                for file in files:
                    _fsync(Path(folder, file))
                fsync_directory(Path(folder))
            _publish(temporary, path, replace)
            fsync_directory(path.parent)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        # After a swap the old folder stands under the temporary name.
        shutil.rmtree(temporary, ignore_errors=True)


def _publish(temporary: Path, path: Path, replace: bool) -> None:
    if replace and path.is_dir() and not path.is_symlink():
        _swap(temporary, path)
        return
    if os.path.lexists(path):
        # A rename would replace an empty folder, or fail with words that help nobody.
        raise ConflictError(f"{path} exists already")
    try:
        temporary.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise ConflictError(
                f"{path} exists already: another process has just made it"
            ) from error
        raise


def _swap(new: Path, old: Path) -> None:
    """Exchange two folders: in one step where the system can, else with a moment of neither."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is not None:
        names = os.fsencode(new), os.fsencode(old)
        if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise OSError(code, os.strerror(code), str(old))
    aside = new.with_name(f"{new.name}-old")
    old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        aside.rename(old)
        raise
    aside.rename(new)


def sweep_leftovers(folder: Path) -> list[Path]:
    """Remove what killed writers left in `folder`; leave what a living process is still writing.

    Returns
    -------
    list of Path
        What was removed.
    """
    return [leftover for leftover in folder.glob(f"{TEMPORARY_PREFIX}*") if _sweep(leftover)]


def _sweep(leftover: Path) -> bool:
    try:
        descriptor = os.open(leftover, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        # Gone by now, or nothing a writer of this module makes.
        return False
    try:
        try:
            if not try_lock(descriptor):
                return False
        except OSError:
            # Without locks, who is gone is not told from who still writes.
            return False
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
    return not os.path.lexists(leftover)


@contextlib.contextmanager
def _folder_for(folder: Path) -> Iterator[None]:
    """Make `folder`; if the writing in it fails, remove what was made and is still empty."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for made in missing:
            with contextlib.suppress(OSError):
                made.rmdir()
        raise


@contextlib.contextmanager
def hold_temporary(make: Callable[[], Path]) -> Iterator[Path]:
    """Make a temporary file or folder, which `sweep_leftovers` leaves alone within the block.

    Parameters
    ----------
    make : callable
        Makes it and returns its path, whose name begins with `TEMPORARY_PREFIX`.
    """
    while True:
        temporary = make()
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            # A file system without locks does not matter: nothing is ever swept there.
            with contextlib.suppress(OSError):
                take_lock(descriptor)
            # A sweeper may have come between the making and the lock; then there is nothing to
            # write to.
            if temporary.exists():
                yield temporary
                return
        finally:
            os.close(descriptor)


def _make_file(path: Path) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=_prefix(), suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    return Path(name)


def _make_folder(path: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=_prefix(), dir=path.parent))


def _prefix() -> str:
    return f"{TEMPORARY_PREFIX}{os.getpid()}-"


def _umask() -> int:
    # The mask can only be read by setting it. mkstemp and mkdtemp ignore it and make private files.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
