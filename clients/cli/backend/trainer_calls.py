"""Datasets, models and checkpoints of a running trainer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cli.backend.calling import call_service, naming
from cli.backend.connection import Connection
from cli.backend.protocol import ImportSource, Report, Watcher
from cli.backend.uploading import Uploader
from ktt.trainer.v1 import datasets_pb2, models_pb2
from ktt_core.errors import (
    ConflictError,
    DataError,
    KttError,
    NotFoundError,
    UnavailableError,
)
from ktt_rpc.calls import call, ktt_errors
from ktt_rpc.job_messages import progress_from_proto
from trainer.messages.datasets import (
    dataset_from_proto,
    import_options_to_proto,
    import_report_from_proto,
)
from trainer.messages.models import (
    checkpoint_from_proto,
    encoder_from_proto,
    model_from_proto,
)

if TYPE_CHECKING:
    from ktt.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub
    from ktt_core.datasets.options import ImportOptions
    from ktt_core.datasets.report import ImportReport
    from trainer import CheckpointInfo, DatasetInfo, EncoderInfo, ModelInfo

__all__ = ["TrainerCalls"]

_PAGE = 500


class TrainerCalls:
    """What there is at a trainer, and making more of it.

    Parameters
    ----------
    stub : TrainerServiceStub
    connection : Connection
    """

    def __init__(self, stub: TrainerServiceStub, connection: Connection) -> None:
        self._stub = stub
        self._connection = connection

    def import_dataset(
        self,
        source: ImportSource,
        name: str,
        options: ImportOptions,
        watcher: Watcher,
        *,
        replace: bool = False,
    ) -> ImportReport:
        """Make a dataset of a file at the server, or of one that is sent there first."""
        request = datasets_pb2.CreateDatasetRequest(
            name=name, options=import_options_to_proto(options), replace=replace
        )
        if source.file is None:
            request.server_path = source.server_path or ""
            return self._create(request, watcher)
        if not replace:
            self._check_free(name)
        uploader = Uploader(self._stub, self._connection, watcher)
        request.upload_id = uploader.send(source.file, source.upload)
        try:
            return self._create(request, watcher)
        except UnavailableError as error:
            raise UnavailableError(
                f"{error}; the import may be done or not, but nothing is half-written: see `ktt "
                f"data list`, and do it again with: --upload {request.upload_id}"
            ) from error
        except (KttError, KeyboardInterrupt):
            # Another try begins with a file that is mended, or with other options.
            uploader.discard(request.upload_id)
            raise

    def _check_free(self, name: str) -> None:
        """Refuse a name that is taken before the file is sent; the trainer looks again after it."""
        try:
            self.get_dataset(name)
        except NotFoundError:
            return
        except DataError:
            pass  # A damaged dataset has the name all the same.
        raise ConflictError(
            f"there is a dataset {name!r} already: choose another name, or replace it with "
            "--replace"
        )

    def _create(self, request: datasets_pb2.CreateDatasetRequest, watcher: Watcher) -> ImportReport:
        with naming(self._connection, self._connection.trainer), ktt_errors():
            responses = self._stub.CreateDataset(request)
            try:
                for response in responses:
                    if response.WhichOneof("part") == "created":
                        return import_report_from_proto(response.created.report)
                    watcher.progress(progress_from_proto(response.progress)[0])
            finally:
                # A client that goes away ends the import.
                responses.cancel()
        raise UnavailableError(f"{self._connection.trainer} ended the import without a word")

    def list_datasets(self) -> list[DatasetInfo]:
        """Return the datasets by name."""
        pages = self._pages("ListDatasets", datasets_pb2)
        return [dataset_from_proto(entry) for page in pages for entry in page.datasets]

    def get_dataset(self, name: str) -> DatasetInfo:
        """Return one dataset."""
        return dataset_from_proto(self._call("GetDataset", datasets_pb2, name=name).dataset)

    def delete_dataset(self, name: str) -> None:
        """Delete a dataset that no job needs."""
        self._call("DeleteDataset", datasets_pb2, idempotent=False, name=name)

    def list_models(self) -> list[ModelInfo]:
        """Return the models that can be trained there."""
        pages = self._pages("ListModels", models_pb2)
        return [model_from_proto(entry) for page in pages for entry in page.models]

    def get_model(self, model: str) -> ModelInfo:
        """Return one model with its hyperparameters."""
        return model_from_proto(self._call("GetModel", models_pb2, id=model).model)

    def list_encoders(self) -> list[EncoderInfo]:
        """Return the encoders that are found there."""
        pages = self._pages("ListEncoders", models_pb2)
        return [encoder_from_proto(entry) for page in pages for entry in page.encoders]

    def list_checkpoints(self, model: str | None, dataset: str | None) -> list[CheckpointInfo]:
        """Return the checkpoints, of one model or dataset if asked."""
        pages = self._pages("ListCheckpoints", models_pb2, model=model or "", dataset=dataset or "")
        return [checkpoint_from_proto(entry) for page in pages for entry in page.checkpoints]

    def read_report(self, dataset: str, model: str, time: str | None) -> Report:
        """Return the report of a training run.

        Raises
        ------
        DataError
            If what came is not what the trainer said it would send.
        """
        there = self._connection.trainer
        request = models_pb2.DownloadReportRequest(
            model=model, dataset=dataset, run_time=time or ""
        )

        def fetch(
            request: models_pb2.DownloadReportRequest, timeout: float | None
        ) -> list[models_pb2.DownloadReportResponse]:
            return list(self._stub.DownloadReport(request, timeout=timeout))

        with naming(self._connection, there):
            parts = call(
                fetch,
                request,
                timeout=self._connection.timeout,
                patience=self._connection.contact,
            )
        start = parts[0].start if parts else models_pb2.ReportStart()
        content = b"".join(part.chunk for part in parts[1:])
        if hashlib.sha256(content).hexdigest() != start.sha256:
            raise DataError(
                f"what {there} sent as the report of {model!r} on {dataset!r} is not what it "
                "announced: fetch it again"
            )
        return Report(dataset, model, start.run_time, content)

    def _pages(self, name: str, messages: Any, /, **fields: Any) -> Iterator[Any]:
        token = ""
        while True:
            page = self._call(name, messages, page_size=_PAGE, page_token=token, **fields)
            yield page
            token = page.next_page_token
            if not token:
                return

    def _call(self, name: str, messages: Any, /, *, idempotent: bool = True, **fields: Any) -> Any:
        return call_service(
            self._stub,
            messages,
            name,
            connection=self._connection,
            address=self._connection.trainer,
            idempotent=idempotent,
            **fields,
        )
