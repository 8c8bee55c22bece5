"""Description of an upload, and checks of what a client announces."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ktt_core.errors import InvalidArgumentError

__all__ = ["UploadInfo", "UsedUpload", "check_announced"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_NAME_BYTES = 200


@dataclass(frozen=True)
class UploadInfo:
    """A file on its way to the server.

    Attributes
    ----------
    id : str
    file_name : str
        Name at the client, without folders.
    size_bytes : int
        Of the whole file.
    sha256 : str
        Of the whole file, in lower-case hexadecimal.
    committed_bytes : int
        Bytes received and flushed to disk.
    complete : bool
        Whether all bytes were received and the checksum was right.
    expire_time : datetime
        Time of deletion if it stays unused, UTC.
    """

    id: str
    file_name: str
    size_bytes: int
    sha256: str
    committed_bytes: int
    complete: bool
    expire_time: datetime


@dataclass(frozen=True)
class UsedUpload:
    """A complete upload, locked against changes and removal."""

    path: Path
    discard: Callable[[], None]


def check_announced(
    file_name: str, size_bytes: int, sha256: str, suffixes: tuple[str, ...], limit_bytes: int
) -> None:
    """Check a file's announced name, size and SHA-256.

    Raises
    ------
    InvalidArgumentError
        With the `field` at fault.
    """
    encoded = file_name.encode(errors="replace")
    if (
        not 0 < len(encoded) <= _MAX_NAME_BYTES
        or file_name.startswith(".")
        or not file_name.isprintable()
        or any(character in file_name for character in "/\\:")
    ):
        raise InvalidArgumentError(
            f"{file_name[:80]!r} is not a file's name: leave out folders and control "
            f"characters, and use at most {_MAX_NAME_BYTES} bytes",
            field="file_name",
        )
    if not file_name.lower().endswith(suffixes):
        raise InvalidArgumentError(
            f"the format of {file_name[:80]!r} is not known; its name must end in one of: "
            + ", ".join(suffixes),
            field="file_name",
        )
    if not 0 < size_bytes <= limit_bytes:
        raise InvalidArgumentError(
            f"a file may have 1 to {limit_bytes:,} bytes here, not {size_bytes:,}",
            field="size_bytes",
        )
    if not _SHA256.fullmatch(sha256.lower()):
        raise InvalidArgumentError(
            "sha256 must be the file's SHA-256 in 64 hexadecimal digits", field="sha256"
        )
