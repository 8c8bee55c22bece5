"""Files on their way to the server, kept below ``<workspace>/uploads/`` until they are used.

An upload is a folder ``<id>/`` with the announced description (``upload.json``), the received bytes
(``content/<file name>``) and a lock that writers and readers hold. The number of received bytes is
the size of the file, so that no crash can make the two differ; it is reported to a client only
after the bytes are flushed to disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from ktt_core.atomic import (
    TEMPORARY_PREFIX,
    atomic_directory,
    atomic_file,
    fsync_directory,
    sweep_leftovers,
)
from ktt_core.documents import Document, parse_object
from ktt_core.errors import (
    DataError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
)
from ktt_core.locks import try_lock
from trainer.os_errors import typed_os_errors
from trainer.upload_info import UploadInfo, UsedUpload, check_announced
from trainer.upload_writer import UploadWriter

__all__ = ["UploadStore"]

_ID = re.compile(r"[0-9a-f]{32}")
_RECORD = "upload.json"
# Seconds that an upload without any bytes is kept when the limit of uploads is reached.
_PATIENCE = 60.0


@dataclass(frozen=True)
class _Record(Document):
    """Announced description of an upload, and whether it is complete."""

    file_name: str
    size: int
    sha256: str
    complete: bool


class UploadStore:
    """The uploads of a workspace. Folders are created with the first upload.

    Parameters
    ----------
    folder : Path
    suffixes : tuple of str
        Allowed suffixes of file names, in lower case.
    limit_bytes : int
        Maximum size of a file.
    max_uploads : int
        Maximum number of uploads.
    ttl : timedelta
        Time that an unused upload is kept.
    now : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        folder: Path,
        suffixes: tuple[str, ...],
        *,
        limit_bytes: int = 10 * 1024**3,
        max_uploads: int = 100,
        ttl: timedelta = timedelta(hours=24),
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._suffixes = suffixes
        self._limit = limit_bytes
        self._max_uploads = max_uploads
        self._ttl = ttl
        self._now = now

    def create(self, file_name: str, size_bytes: int, sha256: str) -> UploadInfo:
        """Announce a file.

        Raises
        ------
        InvalidArgumentError
            If the name, the size or the checksum cannot be a file's, or the file is too large.
        ResourceExhaustedError
            If there are too many uploads, or the disk has no room for it.
        UnavailableError
            If the system refuses.
        """
        check_announced(file_name, size_bytes, sha256, self._suffixes, self._limit)
        with typed_os_errors("the upload cannot be kept"):
            return self._create(file_name, size_bytes, sha256)

    def _create(self, file_name: str, size_bytes: int, sha256: str) -> UploadInfo:
        self.sweep()
        self._folder.mkdir(parents=True, exist_ok=True)
        if len(self._ids()) >= self._max_uploads and not self._make_room():
            raise ResourceExhaustedError(
                f"there are {self._max_uploads} uploads already: use or delete some; "
                "unused ones expire"
            )
        if size_bytes > shutil.disk_usage(self._folder).free:
            raise ResourceExhaustedError(
                f"the server's disk has no room for {size_bytes:,} bytes; free space there"
            )
        upload_id = uuid.uuid4().hex
        with atomic_directory(self._folder / upload_id) as temporary:
            (temporary / "content").mkdir()
            (temporary / "content" / file_name).touch()
            (temporary / "lock").touch()
            record = _Record(file_name, size_bytes, sha256.lower(), complete=False)
            (temporary / _RECORD).write_text(json.dumps(record.to_json()))
        return self.get(upload_id)

    def get(self, upload_id: str) -> UploadInfo:
        """Return an upload; its committed bytes are flushed to disk.

        Raises
        ------
        InvalidArgumentError
            If the id is not valid.
        NotFoundError
            If there is no such upload, or not any more.
        """
        folder = self._find(upload_id)

        def damaged(problem: str) -> DataError:
            return DataError(
                f"the upload {upload_id} is damaged: {_RECORD}: {problem}; delete it, start again"
            )

        try:
            text = (folder / _RECORD).read_bytes()
            record = _Record.from_json(parse_object(text, damaged), damaged)
            descriptor = os.open(folder / "content" / record.file_name, os.O_RDONLY)
        except FileNotFoundError:
            raise _unknown(upload_id) from None
        try:
            status = os.fstat(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return UploadInfo(
            id=upload_id,
            file_name=record.file_name,
            size_bytes=record.size,
            sha256=record.sha256,
            committed_bytes=status.st_size,
            complete=record.complete,
            expire_time=datetime.fromtimestamp(status.st_mtime, UTC) + self._ttl,
        )

    @contextlib.contextmanager
    def writing(self, upload_id: str, offset: int) -> Iterator[UploadWriter]:
        """Yield a writer of an upload's bytes from `offset` on; its `finish` completes the upload.

        Written bytes are kept if the body raises, and the next writer continues from there.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If there is no such upload.
        FailedPreconditionError
            If another call writes to it or uses it, it is complete, or `offset` is not its size.
        """
        with self._locked(upload_id) as folder:
            upload = self.get(upload_id)
            if upload.complete:
                raise FailedPreconditionError(f"the upload {upload_id} is complete already")
            if offset != upload.committed_bytes:
                raise FailedPreconditionError(
                    f"the upload {upload_id} has {upload.committed_bytes:,} bytes: continue there, "
                    f"not at {offset:,}"
                )
            path = folder / "content" / upload.file_name
            complete = partial(self._complete, folder, upload_id)
            with UploadWriter(path, upload.size_bytes, complete) as writer:
                yield writer

    def _complete(self, folder: Path, upload_id: str) -> UploadInfo:
        """Complete a locked upload if all bytes were received; see `UploadWriter.finish`."""
        upload = self.get(upload_id)
        if upload.committed_bytes < upload.size_bytes:
            return upload
        with (folder / "content" / upload.file_name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != upload.sha256:
            self._remove(folder)
            raise InvalidArgumentError(
                f"the received file has the SHA-256 {found}, not {upload.sha256} as announced: it "
                "was deleted; upload it again",
                field="sha256",
            )
        record = _Record(upload.file_name, upload.size_bytes, found, complete=True)
        with atomic_file(folder / _RECORD) as temporary:
            temporary.write_text(json.dumps(record.to_json()))
        return self.get(upload_id)

    def check_complete(self, upload_id: str) -> UploadInfo:
        """Return a complete upload.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If there is no such upload.
        FailedPreconditionError
            If it is not complete.
        """
        upload = self.get(upload_id)
        if not upload.complete:
            raise FailedPreconditionError(
                f"the upload {upload_id} is not complete: {upload.committed_bytes:,} of "
                f"{upload.size_bytes:,} bytes have come"
            )
        return upload

    @contextlib.contextmanager
    def using(self, upload_id: str) -> Iterator[UsedUpload]:
        """Yield a complete upload's file, locked against changes and removal.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If there is no such upload.
        FailedPreconditionError
            If it is not complete, or another uses it.
        """
        with self._locked(upload_id) as folder:
            upload = self.check_complete(upload_id)
            path = folder / "content" / upload.file_name
            os.utime(path)
            yield UsedUpload(path, lambda: self._remove(folder))

    @contextlib.contextmanager
    def reading(self, upload_id: str) -> Iterator[Path]:
        """Yield a complete upload's file for shared reading, locked against removal.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If there is no such upload.
        FailedPreconditionError
            If it is not complete, or is being consumed.
        """
        with self._locked(upload_id, shared=True) as folder:
            path = folder / "content" / self.check_complete(upload_id).file_name
            os.utime(path)
            yield path

    def delete(self, upload_id: str) -> None:
        """Delete an upload.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If there is no such upload.
        FailedPreconditionError
            If it is being written or used.
        """
        with self._locked(upload_id) as folder:
            self._remove(folder)

    def sweep(self) -> list[str]:
        """Delete expired uploads; return their ids."""
        if not self._folder.is_dir():
            return []
        sweep_leftovers(self._folder)
        expired = []
        for upload_id in self._ids():
            # It is being written, or was just removed.
            with contextlib.suppress(FailedPreconditionError, NotFoundError):
                with self._locked(upload_id) as folder:
                    if self._is_expired(upload_id, folder):
                        self._remove(folder)
                        expired.append(upload_id)
        return expired

    def _make_room(self) -> bool:
        """Delete one upload that was announced some time ago and has received no bytes."""
        for upload_id in self._ids():
            with contextlib.suppress(FailedPreconditionError, NotFoundError, DataError):
                with self._locked(upload_id) as folder:
                    upload = self.get(upload_id)
                    touched = (upload.expire_time - self._ttl).timestamp()
                    empty = not upload.complete and upload.committed_bytes == 0
                    if empty and touched + _PATIENCE <= self._now():
                        self._remove(folder)
                        return True
        return False

    def _is_expired(self, upload_id: str, folder: Path) -> bool:
        try:
            return self.get(upload_id).expire_time.timestamp() <= self._now()
        except DataError:
            return folder.stat().st_mtime + self._ttl.total_seconds() <= self._now()

    def _ids(self) -> list[str]:
        return sorted(path.name for path in self._folder.iterdir() if _ID.fullmatch(path.name))

    def _find(self, upload_id: str) -> Path:
        if not _ID.fullmatch(upload_id):
            raise InvalidArgumentError(
                f"{upload_id[:80]!r} is not an upload's id: CreateUpload returns one",
                field="upload_id",
            )
        return self._folder / upload_id

    @contextlib.contextmanager
    def _locked(self, upload_id: str, *, shared: bool = False) -> Iterator[Path]:
        folder = self._find(upload_id)
        try:
            descriptor = os.open(folder / "lock", os.O_RDWR)
        except FileNotFoundError:
            raise _unknown(upload_id) from None
        try:
            if not try_lock(descriptor, shared=shared):
                raise FailedPreconditionError(
                    f"the upload {upload_id} is being written or used by another call; "
                    "wait until that has ended"
                )
            if not os.fstat(descriptor).st_nlink or not folder.is_dir():
                raise _unknown(upload_id)
            yield folder
        finally:
            os.close(descriptor)

    def _remove(self, folder: Path) -> None:
        """Remove an upload atomically; leftovers of a crash are removed by the next sweep."""
        gone = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
        with contextlib.suppress(FileNotFoundError):
            folder.rename(gone)
            fsync_directory(self._folder)
            shutil.rmtree(gone, ignore_errors=True)


def _unknown(upload_id: str) -> NotFoundError:
    return NotFoundError(
        f"there is no upload {upload_id}: it was used, deleted, had a wrong checksum or expired"
    )
