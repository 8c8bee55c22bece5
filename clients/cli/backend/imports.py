"""Import by a running trainer, with upload of a local file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.backend.connection import Connection
from cli.backend.protocol import Catalogue, ImportSource, Watcher
from cli.backend.rpc import naming
from cli.backend.uploading import Uploader
from ktt.trainer.v1 import datasets_pb2
from ktt_core.errors import (
    ConflictError,
    DataError,
    KttError,
    NotFoundError,
    UnavailableError,
)
from ktt_rpc.client_calls import ktt_errors
from ktt_rpc.job_messages import progress_from_proto
from trainer.messages.datasets import import_options_to_proto, import_report_from_proto

if TYPE_CHECKING:
    from ktt.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub
    from ktt_core.datasets.options import ImportOptions
    from ktt_core.datasets.report import ImportReport

__all__ = ["import_remotely"]


def import_remotely(
    stub: TrainerServiceStub,
    connection: Connection,
    catalogue: Catalogue,
    source: ImportSource,
    name: str,
    options: ImportOptions,
    watcher: Watcher,
    *,
    replace: bool = False,
) -> ImportReport:
    """Import a file of the server, or a local one that is uploaded first."""
    request = datasets_pb2.CreateDatasetRequest(
        name=name, options=import_options_to_proto(options), replace=replace
    )
    if source.file is None:
        request.server_path = source.server_path or ""
        return _create(stub, connection, request, watcher)
    if not replace:
        _check_free(catalogue, name)
    uploader = Uploader(stub, connection, watcher)
    request.upload_id = uploader.send(source.file, source.upload)
    try:
        return _create(stub, connection, request, watcher)
    except UnavailableError as error:
        raise UnavailableError(
            f"{error}; the import may be done or not, but nothing is half-written: see `ktt "
            f"data list`, and do it again with: --upload {request.upload_id}"
        ) from error
    except (KttError, KeyboardInterrupt):
        # Another attempt needs a corrected file or other options.
        uploader.discard(request.upload_id)
        raise


def _check_free(catalogue: Catalogue, name: str) -> None:
    """Check before the upload that the name is free; the trainer checks again."""
    try:
        catalogue.get_dataset(name)
    except NotFoundError:
        return
    except DataError:
        pass  # A damaged dataset occupies its name, too.
    raise ConflictError(
        f"there is a dataset {name!r} already: choose another name, or replace it with --replace"
    )


def _create(
    stub: TrainerServiceStub,
    connection: Connection,
    request: datasets_pb2.CreateDatasetRequest,
    watcher: Watcher,
) -> ImportReport:
    with naming(connection, connection.trainer), ktt_errors():
        responses = stub.CreateDataset(request)
        try:
            for response in responses:
                if response.WhichOneof("part") == "created":
                    return import_report_from_proto(response.created.report)
                watcher.progress(progress_from_proto(response.progress)[0])
        finally:
            # The import is cancelled when the client disconnects.
            responses.cancel()
    raise UnavailableError(f"{connection.trainer} ended the import without an answer")
