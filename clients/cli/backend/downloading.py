"""Download of an export: resumed after lost connections, verified, and unpacked atomically."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.backend.archive import unpack
from cli.backend.connection import Connection
from cli.backend.folders import check_files, check_owner, folder_name
from cli.backend.protocol import Watcher
from cli.backend.receiving import receive
from ktt.exporter.v1 import exports_pb2
from ktt_core.atomic import atomic_directory
from ktt_core.errors import DataError, KttError

if TYPE_CHECKING:
    from ktt.exporter.v1.exporter_service_pb2_grpc import ExporterServiceStub

__all__ = ["download"]


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
    """Download the folder of an export job into `output`, atomically.

    Parameters
    ----------
    stub : ExporterServiceStub
    connection : Connection
    job_id, model, dataset, form : str
    output : Path
        The folder ``<model>_<dataset>`` appears in it.
    watcher : Watcher
        Receives progress of phase "download", in bytes, and notices of lost connections.

    Returns
    -------
    tuple of Path and dict
        The folder, and its manifest.

    Raises
    ------
    ConflictError
        If a folder of that name exists that is not an export of the same.
    DataError
        If the received data are not as announced, or not an export.
    KttError
        If it cannot be written, or the exporter stays unavailable.
    """
    target = output / folder_name(model, dataset)
    check_owner(target, model, dataset, form)
    try:
        with (
            tempfile.TemporaryFile() as archive,
            atomic_directory(target, replace=True) as staging,
        ):
            receive(
                lambda offset: stub.DownloadArtifact(
                    exports_pb2.DownloadArtifactRequest(export_job_id=job_id, offset=offset)
                ),
                archive,
                connection,
                connection.exporter,
                watcher,
                after=f"the export itself is done: fetch it later with `ktt jobs fetch {job_id}`",
            )
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
