"""Upload of a file to the trainer: in chunks, with a checksum, resumed after lost connections."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import grpc

from cli.backend.connection import Connection
from cli.backend.protocol import Watcher
from cli.backend.rpc import call_service
from ktt.trainer.v1 import datasets_pb2
from ktt_core.errors import (
    DataError,
    InvalidArgumentError,
    KttError,
    NotFoundError,
    UnavailableError,
)
from ktt_core.progress import Progress
from ktt_rpc.client_calls import ktt_errors

if TYPE_CHECKING:
    from ktt.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub

__all__ = ["Uploader"]

_CHUNK = 256 * 1024
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0


class Uploader:
    """Uploads one file.

    Parameters
    ----------
    stub : TrainerServiceStub
    connection : Connection
    watcher : Watcher
        Receives progress of phases "checksum" and "upload", in bytes, and notices of lost
        connections.
    """

    def __init__(self, stub: TrainerServiceStub, connection: Connection, watcher: Watcher) -> None:
        self._stub = stub
        self._connection = connection
        self._watcher = watcher
        self._unreadable: DataError | None = None

    def send(self, file: Path, upload_id: str | None = None) -> str:
        """Upload a file, or the rest of it, and return the id of the upload.

        Parameters
        ----------
        file : Path
        upload_id : str, optional
            An interrupted upload of the same file.

        Raises
        ------
        NotFoundError
            If there is no such file or upload.
        DataError
            If the file cannot be read.
        InvalidArgumentError
            If the upload is of another file.
        UnavailableError
            If the server stays unavailable; the message says how to continue.
        """
        with _open(file) as opened:
            size, digest = self._measure(opened)
            upload = (
                self._known(upload_id, file, size, digest)
                if upload_id
                else self._announce(file.name, size, digest)
            )
            try:
                self._send_rest(opened, upload)
            except UnavailableError:
                raise  # The server keeps the received bytes, and the message says how to continue.
            except (KttError, KeyboardInterrupt):
                self.discard(upload.id)
                raise
            return str(upload.id)

    def discard(self, upload_id: str) -> None:
        """Delete an upload if it exists; otherwise the server does when it expires."""
        try:
            self._call("DeleteUpload", patience=0, upload_id=upload_id)
        except NotFoundError:
            return
        except KttError as error:
            self._watcher.notice(
                f"the upload {upload_id} stays at the server until it expires: {error}"
            )

    def _measure(self, file: BinaryIO) -> tuple[int, str]:
        digest, done = hashlib.sha256(), 0
        total = file.seek(0, 2)
        file.seek(0)
        while chunk := file.read(8 * _CHUNK):
            digest.update(chunk)
            done += len(chunk)
            self._watcher.progress(Progress("checksum", done, max(total, done), "bytes"))
        return done, digest.hexdigest()

    def _announce(self, name: str, size: int, digest: str) -> Any:
        return self._call("CreateUpload", file_name=name, size_bytes=size, sha256=digest).upload

    def _known(self, upload_id: str, file: Path, size: int, digest: str) -> Any:
        upload = self._call("GetUpload", upload_id=upload_id).upload
        if (upload.size_bytes, upload.sha256) != (size, digest):
            raise InvalidArgumentError(
                f"the upload {upload_id} is of another file, {upload.file_name!r} with "
                f"{upload.size_bytes:,} bytes, or {file} has changed since; leave out --upload"
            )
        return upload

    def _send_rest(self, file: BinaryIO, upload: Any) -> None:
        """Send all bytes; the wait for an unavailable server restarts whenever bytes arrive."""
        deadline = time.monotonic() + self._connection.reconnect
        pause, told = _FIRST_PAUSE, False
        while not upload.complete:
            before = upload.committed_bytes
            try:
                upload = self._write(file, upload)
                continue
            except UnavailableError as error:
                if not told:
                    self._watcher.notice(
                        f"lost the connection to {self._connection.trainer} ({error}); waiting up "
                        f"to {self._connection.reconnect:,.0f} s for it ..."
                    )
                    told = True
            upload, pause = self._wait(upload, deadline, pause)
            if upload.committed_bytes > before:
                deadline = time.monotonic() + self._connection.reconnect
                pause, told = _FIRST_PAUSE, False

    def _write(self, file: BinaryIO, upload: Any) -> Any:
        self._unreadable = None
        with ktt_errors():
            # Not a blocking call: after an interrupt its thread would continue sending.
            running = self._stub.WriteUpload.future(self._requests(file, upload))
            try:
                return running.result().upload
            except grpc.RpcError:
                if self._unreadable is not None:
                    raise self._unreadable from None
                raise
            finally:
                running.cancel()

    def _wait(self, upload: Any, deadline: float, pause: float) -> tuple[Any, float]:
        """Return the upload's state, once the server answers, and the next waiting time."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise UnavailableError(
                    f"{self._connection.trainer} has been away for "
                    f"{self._connection.reconnect:,.0f} s, with {upload.committed_bytes:,} of "
                    f"{upload.size_bytes:,} bytes there; when it is back, continue with: "
                    f"--upload {upload.id}"
                )
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                return self._call("GetUpload", patience=0, upload_id=upload.id).upload, pause
            except UnavailableError:
                # Still unavailable: the loop waits for it.
                continue

    def _requests(self, file: BinaryIO, upload: Any) -> Iterator[datasets_pb2.WriteUploadRequest]:
        done = upload.committed_bytes
        file.seek(done)
        yield datasets_pb2.WriteUploadRequest(
            start=datasets_pb2.UploadStart(upload_id=upload.id, offset=done)
        )
        while chunk := self._read(file):
            yield datasets_pb2.WriteUploadRequest(chunk=chunk)
            done += len(chunk)
            self._watcher.progress(Progress("upload", done, upload.size_bytes, "bytes"))

    def _read(self, file: BinaryIO) -> bytes:
        try:
            return file.read(_CHUNK)
        except OSError as error:
            # gRPC reads in a separate thread and would not report the error itself.
            self._unreadable = DataError(f"{file.name} cannot be read: {error.strerror or error}")
            raise

    def _call(
        self,
        name: str,
        /,
        *,
        patience: float | None = None,
        idempotent: bool = True,
        **fields: Any,
    ) -> Any:
        return call_service(
            self._stub,
            datasets_pb2,
            name,
            connection=self._connection,
            address=self._connection.trainer,
            patience=patience,
            **fields,
        )


def _open(file: Path) -> BinaryIO:
    try:
        if file.is_dir():
            raise DataError(f"{file} is a folder; name one file in it")
        if file.exists() and not file.is_file():
            raise DataError(f"{file} is not a regular file; save its contents to one")
        return file.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"there is no file {file}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{file} cannot be read: {reason}") from error
