"""Fetching an export: going on after a broken connection, verified, and unpacked whole."""

from __future__ import annotations

import hashlib
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cli.backend.archive import unpack
from cli.backend.folders import check_files, check_owner, folder_name
from cli.backend.protocol import Watcher
from cli.connection import Connection
from ktt.exporter.v1 import exports_pb2
from ktt_core.atomic import atomic_directory
from ktt_core.errors import DataError, KttError, UnavailableError
from ktt_core.progress import Progress
from ktt_rpc.calls import ktt_errors

if TYPE_CHECKING:
    from ktt.exporter.v1.exporter_service_pb2_grpc import ExporterServiceStub

__all__ = ["download"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0
_BLOCK = 1024**2
_SHA256 = re.compile(r"[0-9a-f]{64}")


def download(
    stub: ExporterServiceStub,
    connection: Connection,
    job_id: str,
    model: str,
    dataset: str,
    form: str,
    output: Path,
    watcher: Watcher,
) -> tuple[Path, dict[str, Any]]:
    """Put the folder that an export job made into `output`, whole or not at all.

    Parameters
    ----------
    stub : ExporterServiceStub
    connection : Connection
    job_id, model, dataset, form : str
    output : Path
        The folder ``<model>_<dataset>`` appears in it.
    watcher : Watcher
        Hears of phase "download", in bytes, and of lost connections.

    Returns
    -------
    tuple of Path and dict
        The folder, and its manifest.

    Raises
    ------
    ConflictError
        If a folder of that name is there that is not from an export of the same.
    DataError
        If what came is not what the server said it would send, or no export.
    KttError
        If it cannot be written, or the exporter stays away.
    """
    target = output / folder_name(model, dataset)
    check_owner(target, model, dataset, form)
    try:
        with (
            tempfile.TemporaryFile() as archive,
            atomic_directory(target, replace=True) as staging,
        ):
            _Download(stub, connection, job_id, archive, watcher).run()
            try:
                unpack(archive, staging, strip=1)
                manifest = check_files(staging, model, dataset)
            except DataError as error:
                raise DataError(
                    f"what {connection.exporter} sent for job {job_id} is not used: {error}"
                ) from error
            check_owner(target, model, dataset, form)
    except OSError as error:
        place = error.filename or target
        raise KttError(f"{place} cannot be written: {error.strerror or error}") from error
    return target, manifest


class _Download:
    """The bytes of one archive on their way into a file.

    Parameters
    ----------
    stub : ExporterServiceStub
    connection : Connection
    job_id : str
    archive : file
        Empty.
    watcher : Watcher
    """

    def __init__(
        self,
        stub: ExporterServiceStub,
        connection: Connection,
        job_id: str,
        archive: BinaryIO,
        watcher: Watcher,
    ) -> None:
        self._stub = stub
        self._connection = connection
        self._job_id = job_id
        self._archive = archive
        self._watcher = watcher
        self._start: exports_pb2.ArtifactStart | None = None

    def run(self) -> None:
        """Fetch all; the time that a server may be away begins anew when bytes come."""
        patience = self._connection.reconnect
        deadline, pause = time.monotonic() + patience, _FIRST_PAUSE
        while True:
            before = self._archive.tell()
            try:
                self._receive()
                break
            except UnavailableError as error:
                if self._archive.tell() > before:
                    deadline, pause = time.monotonic() + patience, _FIRST_PAUSE
                left = deadline - time.monotonic()
                if left <= 0:
                    raise UnavailableError(
                        f"{error}; the export itself is done: fetch it later with "
                        f"`ktt jobs fetch {self._job_id}`"
                    ) from error
                if pause == _FIRST_PAUSE:
                    self._watcher.notice(
                        f"lost the connection to {self._connection.exporter} ({error}); waiting "
                        f"up to {patience:,.0f} s for it ..."
                    )
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE)
        self._verify()

    def _receive(self) -> None:
        """Append what is missing."""
        request = exports_pb2.DownloadArtifactRequest(
            export_job_id=self._job_id, offset=self._archive.tell()
        )
        with ktt_errors():
            responses = self._stub.DownloadArtifact(request)
            try:
                for number, response in enumerate(responses):
                    self._take(response, first=number == 0)
            finally:
                responses.cancel()

    def _take(self, response: exports_pb2.DownloadArtifactResponse, first: bool) -> None:
        if first:
            start = response.start
            if _SHA256.fullmatch(start.sha256) is None or start.size_bytes <= 0:
                raise DataError(f"{self._connection.exporter} does not say what it sends")
            if self._start is not None and self._start != start:
                raise DataError("the export changed while it was fetched; fetch it again")
            self._start = start
            return
        size = self._start.size_bytes if self._start else 0
        self._archive.write(response.chunk)
        if not response.chunk or self._archive.tell() > size:
            raise DataError(f"something else came than the {size:,} bytes that were announced")
        self._watcher.progress(Progress("download", self._archive.tell(), size, "bytes"))

    def _verify(self) -> None:
        start, size = self._start, self._archive.tell()
        if start is None:
            raise DataError(f"{self._connection.exporter} sent nothing for job {self._job_id}")
        if size != start.size_bytes:
            raise DataError(f"the archive has {size:,} bytes and not {start.size_bytes:,}")
        self._archive.seek(0)
        digest = hashlib.sha256()
        while chunk := self._archive.read(_BLOCK):
            digest.update(chunk)
        if digest.hexdigest() != start.sha256:
            raise DataError("the checksum of the archive is wrong: it was changed on its way")
