"""Deterministic archives of exported folders."""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.manifests import MANIFEST_NAME, manifest_from_bytes
from exporter.results import Manifest
from ktt_core.datasets.pinned import PinnedFile
from ktt_core.errors import DataError, FailedPreconditionError, InvalidArgumentError

__all__ = ["CHUNK_BYTES", "Artifact", "ArtifactStore"]

CHUNK_BYTES = 512 * 1024

_BLOCK = tarfile.BLOCKSIZE
_MAX_MANIFEST_BYTES = 16 * 1024**2
# Number of digests kept in memory, so that a resumed download need not read all files again.
_MAX_KNOWN = 64


@dataclass(frozen=True)
class _Part:
    """Part of the archive: bytes in memory, or a file padded with zeros."""

    size: int
    content: bytes = b""
    file: PinnedFile | None = None
    file_size: int = 0

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the part's end."""
        count = min(count, self.size - offset)
        if self.file is None:
            return self.content[offset : offset + count]
        found = bytearray()
        while len(found) < (wanted := min(count, self.file_size - offset)):
            piece = os.pread(self.file.descriptor, wanted - len(found), offset + len(found))
            if not piece:
                raise FailedPreconditionError(
                    f"{self.file.path} has become shorter while it was read; export again"
                )
            found += piece
        return bytes(found) + bytes(count - len(found))


@dataclass(frozen=True)
class Artifact:
    """An opened exported folder: all reads are from the same export.

    Attributes
    ----------
    file_name : str
        A name for the archive.
    size_bytes : int
    sha256 : str
        Of the whole archive, in hexadecimal.
    """

    file_name: str
    size_bytes: int
    sha256: str
    _parts: tuple[_Part, ...]

    def chunks(self, offset: int = 0, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
        """Yield the archive from `offset` on, `chunk_bytes` at a time.

        Raises
        ------
        InvalidArgumentError
            If `offset` is not within the archive.
        FailedPreconditionError
            If a file was changed in place meanwhile.
        """
        if not 0 <= offset <= self.size_bytes:
            raise InvalidArgumentError(
                f"the archive has {self.size_bytes:,} bytes; there is no offset {offset:,}",
                field="offset",
            )
        return _chunks(self._parts, offset, chunk_bytes)


class ArtifactStore:
    """Opens exported folders as archives. Usable from any thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], str] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, folder: Path, expected: Manifest) -> Artifact:
        """Open all files of the export that a manifest describes.

        Each is read once, to verify its digest.

        Raises
        ------
        FailedPreconditionError
            If the folder is gone, holds another export by now, or its files were changed.
        """
        opened, content = _open(folder, expected)
        sizes = {file.path: file.size_bytes for file in expected.files}
        sizes[MANIFEST_NAME] = len(content)
        parts = tuple(_parts(folder.name, opened, sizes))
        return Artifact(
            file_name=f"{folder.name}.tar",
            size_bytes=sum(part.size for part in parts),
            sha256=self._digest(opened, parts, folder, expected),
            _parts=parts,
        )

    def _digest(
        self,
        opened: Mapping[str, PinnedFile],
        parts: tuple[_Part, ...],
        folder: Path,
        expected: Manifest,
    ) -> str:
        key = tuple((name, *_stamp(file)) for name, file in opened.items())
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        for file in expected.files:
            if _sha256(opened[file.path]) != file.sha256:
                raise _changed(folder, f"the content of {file.path} differs")
        digest = hashlib.sha256()
        for chunk in _chunks(parts, 0, CHUNK_BYTES):
            digest.update(chunk)
        with self._lock:
            self._known[key] = digest.hexdigest()
            while len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)
        return digest.hexdigest()


def _open(folder: Path, expected: Manifest) -> tuple[dict[str, PinnedFile], bytes]:
    """Return the files by name, in order, and the manifest's content."""
    names = sorted([MANIFEST_NAME, *(file.path for file in expected.files)])
    try:
        # Names are resolved in the folder as it is now, even if it is replaced meanwhile.
        within = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise FailedPreconditionError(
            f"the export in {folder} is gone: {error.strerror or error}; export again"
        ) from error
    try:
        found = {name: _pin(folder / name, name, within) for name in names}
    finally:
        os.close(within)
    manifest = found[MANIFEST_NAME]
    if isinstance(manifest, OSError):
        raise _changed(folder, f"{MANIFEST_NAME}: {manifest.strerror or manifest}")
    try:
        content = os.pread(manifest.descriptor, _MAX_MANIFEST_BYTES, 0)
        present = manifest_from_bytes(content, folder / MANIFEST_NAME)
    except (DataError, OSError) as error:
        raise _changed(folder, str(error)) from error
    if present != expected:
        raise FailedPreconditionError(
            f"{folder} holds another export by now, that of {present.create_time:%Y-%m-%d %H:%M:%S}"
            " UTC: download the artifact of the newest job, or export again"
        )
    opened: dict[str, PinnedFile] = {}
    for name, file in found.items():
        if isinstance(file, OSError):
            raise _changed(folder, f"{name}: {file.strerror or file}")
        opened[name] = file
    for described in expected.files:
        status = os.fstat(opened[described.path].descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _changed(folder, f"{described.path} is not a file")
        if status.st_size != described.size_bytes:
            raise _changed(folder, f"the size of {described.path} differs")
    return opened, content


def _pin(path: Path, name: str, within: int) -> PinnedFile | OSError:
    try:
        # Opening must not block on a pipe or a device.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return PinnedFile(path, os.open(name, flags, dir_fd=within))
    except OSError as error:
        return error


def _changed(folder: Path, what: str) -> FailedPreconditionError:
    return FailedPreconditionError(f"{folder} was changed after the export: {what}; export again")


def _stamp(file: PinnedFile) -> tuple[int, int, int, int, int]:
    status = os.fstat(file.descriptor)
    return status.st_dev, status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns


def _sha256(file: PinnedFile) -> str:
    with file.view() as view:
        return hashlib.file_digest(view, "sha256").hexdigest()  # type: ignore[arg-type]


def _parts(top: str, opened: Mapping[str, PinnedFile], sizes: Mapping[str, int]) -> Iterator[_Part]:
    """Yield the parts of an uncompressed tar that depends on the files alone.

    Order, owner and times are fixed, and of the permissions only the executable bit is kept.
    """
    written = 0
    for name, file in opened.items():
        entry = tarfile.TarInfo(f"{top}/{name}")
        runs = os.fstat(file.descriptor).st_mode & stat.S_IXUSR
        entry.size, entry.mode = sizes[name], 0o755 if runs else 0o644
        header = entry.tobuf(tarfile.GNU_FORMAT)
        yield _Part(len(header), content=header)
        padded = -(-entry.size // _BLOCK) * _BLOCK
        yield _Part(padded, file=file, file_size=entry.size)
        written += len(header) + padded
    # Two blocks of zeros end an archive, and tar's own fill the last record.
    end = -(-(written + 2 * _BLOCK) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE - written
    yield _Part(end, content=bytes(end))


def _chunks(parts: tuple[_Part, ...], offset: int, chunk_bytes: int) -> Iterator[bytes]:
    pending = bytearray()
    for part in parts:
        if offset >= part.size:
            offset -= part.size
            continue
        while offset < part.size:
            piece = part.read(offset, chunk_bytes - len(pending))
            offset += len(piece)
            pending += piece
            if len(pending) == chunk_bytes:
                yield bytes(pending)
                pending.clear()
        offset = 0
    if pending:
        yield bytes(pending)
