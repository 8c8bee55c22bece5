"""Reading of files with secrets: keys and tokens."""

from __future__ import annotations

import stat
from pathlib import Path

from ktt_core.errors import InvalidArgumentError

__all__ = ["read_file", "read_secret"]

_LARGEST = 1024 * 1024


def read_secret(path: Path, what: str) -> bytes:
    """Read a file that must be accessible to its owner or group only.

    Parameters
    ----------
    path : Path
    what : str
        Name for messages: "--tls-key".

    Raises
    ------
    InvalidArgumentError
        If it cannot be read, is empty, or every user of the machine may read or change it. As in
        ssh, such a file is refused, since a warning would come too late.
    """
    mode = _mode(path, what)
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise InvalidArgumentError(
            f"{what} {path}: every user of this machine may read or change this file (mode "
            f"{mode:04o}), so its content is not secret. Keep it to its owner (chmod 600 {path}) "
            "or its group (chmod 640), and think of replacing what it holds"
        )
    return read_file(path, what)


def read_file(path: Path, what: str) -> bytes:
    """Read a small file that is named in the settings.

    Raises
    ------
    InvalidArgumentError
        If it cannot be read, is empty, or larger than 1 MiB.
    """
    _mode(path, what)
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise _unreadable(path, what, error) from error
    if not content.strip():
        raise InvalidArgumentError(f"{what} {path}: the file is empty")
    if len(content) > _LARGEST:
        raise InvalidArgumentError(
            f"{what} {path}: the file is larger than 1 MiB; check that it is the right one"
        )
    return content


def _mode(path: Path, what: str) -> int:
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, what, error) from error
    if stat.S_ISDIR(found.st_mode):
        raise InvalidArgumentError(f"{what} {path}: this is a folder; give the file")
    return stat.S_IMODE(found.st_mode)


def _unreadable(path: Path, what: str, error: OSError) -> InvalidArgumentError:
    return InvalidArgumentError(f"{what} {path}: cannot be read: {error.strerror or error}")
