"""Writes that happen whole or not at all: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["atomic_directory", "atomic_file", "fsync_directory", "sweep_leftovers"]

#: Every unfinished file or folder begins with this; readers skip it, `sweep_leftovers` removes it.
TEMPORARY_PREFIX = ".tmp-"


def fsync_directory(path: Path) -> None:
    """Make renames inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_file(path: Path) -> None:
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
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=_prefix(), suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        _fsync_file(temporary)
        temporary.replace(path)
        fsync_directory(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; on success it becomes `path`, on error it is removed.

    Parameters
    ----------
    path : Path
        The final folder; it must not exist yet (the rename of two writers: one wins whole, the other gets an
        ``OSError``).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=_prefix(), dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        for folder, _, files in os.walk(temporary):
            for file in files:
                _fsync_file(Path(folder, file))
            fsync_directory(Path(folder))
        temporary.rename(path)
        fsync_directory(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def sweep_leftovers(folder: Path) -> list[Path]:
    """Remove what killed writers left in `folder`; leave what a living process is still writing.

    Returns
    -------
    list of Path
        What was removed.
    """
    removed = []
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        pid = leftover.name.removeprefix(TEMPORARY_PREFIX).split("-", 1)[0]
        if pid.isdigit() and _is_alive(int(pid)):
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
        removed.append(leftover)
    return removed


def _prefix() -> str:
    return f"{TEMPORARY_PREFIX}{os.getpid()}-"


def _umask() -> int:
    # The mask can only be read by setting it. mkstemp and mkdtemp ignore it and make private files.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
