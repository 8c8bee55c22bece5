"""Safe unpacking of a received archive: only plain files below one folder."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ktt_core.errors import DataError

__all__ = ["unpack"]

#: Limit far above the files of an export.
MAX_FILES = 10_000
_MAX_LEVELS = 16
_MAX_NAME_BYTES = 255
# The standard library reads a header that describes the next one by a call within a call, and as
# many bytes as it says.
_UNREADABLE = (
    tarfile.TarError, EOFError, MemoryError, OverflowError, RecursionError, ValueError
)  # fmt: skip


def unpack(archive: BinaryIO, folder: Path, strip: int = 0) -> list[str]:
    """Unpack an uncompressed tar of plain files into a folder.

    Of the archive's metadata, only the executable bit of files is kept.

    Parameters
    ----------
    archive : file
        Open for reading in binary, anywhere.
    folder : Path
        Must exist and be empty; no other process may write to it meanwhile.
    strip : int
        Leading folders to leave out of the paths; all entries must lie in the same ones.

    Returns
    -------
    list of str
        The files' paths below `folder`, with forward slashes.

    Raises
    ------
    DataError
        If it is not a tar archive, is cut short, or holds a link, a device, a sparse file, an
        absolute path, a path with "..", or a file twice. The folder may hold some of the files
        then.
    """
    names: list[str] = []
    tops: set[tuple[str, ...]] = set()
    archive.seek(0)
    try:
        with tarfile.open(fileobj=archive, mode="r:") as opened:
            for member in opened:
                parts = _parts(member)
                if member.isdir():
                    continue
                tops.add(parts[:strip])
                parts = parts[strip:]
                if not parts or len(tops) > 1:
                    raise _refused(member.name, "does not lie in the folder that the others lie in")
                if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
                    raise _refused(member.name, "is not a plain file")
                if len(names) == MAX_FILES:
                    raise DataError(f"the archive holds more than {MAX_FILES:,} files")
                _write(opened, member, folder.joinpath(*parts))
                names.append("/".join(parts))
            end = opened.offset
    except _UNREADABLE as error:
        raise DataError(f"the archive cannot be read: {error}") from error
    if not _ends_at(archive, end):
        raise DataError("the archive cannot be read: it is cut short, or more comes after its end")
    if not names:
        raise DataError("the archive holds no files")
    return names


def _ends_at(archive: BinaryIO, end: int) -> bool:
    """Return whether the archive ends with its end mark, and nothing follows.

    The standard library accepts a truncated header, or none, as the end.
    """
    archive.seek(end)
    rest = archive.read(2 * tarfile.RECORDSIZE + 1)
    return 2 * tarfile.BLOCKSIZE <= len(rest) <= 2 * tarfile.RECORDSIZE and not any(rest)


def _parts(member: tarfile.TarInfo) -> tuple[str, ...]:
    name = member.name
    pure = PurePosixPath(name)
    if not name or name.startswith("/") or pure.is_absolute():
        raise _refused(name, "has an absolute path, or none")
    if (
        "\\" in name
        or ":" in name
        or any(ord(letter) < 32 for letter in name)
        or any(len(os.fsencode(part)) > _MAX_NAME_BYTES for part in pure.parts)
    ):
        raise _refused(name, "has a name that not every system can hold")
    if ".." in pure.parts or len(pure.parts) > _MAX_LEVELS:
        raise _refused(name, "would lie outside of the folder, or too deep in it")
    if not pure.parts and not member.isdir():
        raise _refused(name, "has no name")
    return pure.parts


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # "x": a second entry of the same name must not replace what was checked before.
        with target.open("xb") as written:
            source = archive.extractfile(member)
            if source is None:
                raise _refused(member.name, "is not a plain file")
            with source:
                shutil.copyfileobj(source, written)
    except (FileExistsError, NotADirectoryError):
        raise _refused(member.name, "is in it twice") from None
    status = target.stat()
    if status.st_size != member.size:
        raise _refused(member.name, "is cut short")
    if member.mode & stat.S_IXUSR:
        # Readable as the umask allows.
        target.chmod(status.st_mode | (status.st_mode & 0o444) >> 2)


def _refused(name: str, reason: str) -> DataError:
    shown = name if len(name) <= 80 else f"{name[:77]}..."
    return DataError(f"the archive is not one of an export: {shown!r} {reason}")
