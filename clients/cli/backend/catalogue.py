"""The catalogue of a running trainer: datasets, models, encoders, checkpoints, reports."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.backend.connection import Connection
from cli.backend.rpc import call_service, naming
from ktt.trainer.v1 import datasets_pb2, models_pb2
from ktt_core.errors import DataError
from ktt_rpc.client_calls import call
from trainer.messages.datasets import dataset_from_proto
from trainer.messages.models import (
    checkpoint_from_proto,
    encoder_from_proto,
    model_from_proto,
)

if TYPE_CHECKING:
    from cli.backend.protocol import Report
    from ktt.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub
    from trainer import CheckpointInfo, DatasetInfo, EncoderInfo, ModelInfo

__all__ = ["RemoteCatalogue"]

_PAGE = 500


@dataclass(frozen=True)
class _SentReport:
    model: str
    dataset: str
    run_time: str
    content: bytes
    path: None = None


class RemoteCatalogue:
    """The catalogue of a running trainer; see `cli.backend.protocol.Catalogue`.

    Parameters
    ----------
    stub : TrainerServiceStub
    connection : Connection
    """

    def __init__(self, stub: TrainerServiceStub, connection: Connection) -> None:
        self._stub = stub
        self._connection = connection

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
        """Return the trainer's models."""
        pages = self._pages("ListModels", models_pb2)
        return [model_from_proto(entry) for page in pages for entry in page.models]

    def get_model(self, model_id: str) -> ModelInfo:
        """Return one model with its hyperparameters."""
        return model_from_proto(self._call("GetModel", models_pb2, id=model_id).model)

    def list_encoders(self) -> list[EncoderInfo]:
        """Return the encoders on the trainer's machine."""
        pages = self._pages("ListEncoders", models_pb2)
        return [encoder_from_proto(entry) for page in pages for entry in page.encoders]

    def list_checkpoints(
        self, model: str | None = None, dataset: str | None = None
    ) -> list[CheckpointInfo]:
        """Return the checkpoints, of one model or dataset if asked."""
        pages = self._pages("ListCheckpoints", models_pb2, model=model or "", dataset=dataset or "")
        return [checkpoint_from_proto(entry) for page in pages for entry in page.checkpoints]

    def read_report(self, model: str, dataset: str, run_time: str | None = None) -> Report:
        """Return the report of a training run.

        Raises
        ------
        DataError
            If the received data are not as announced.
        """
        there = self._connection.trainer
        request = models_pb2.DownloadReportRequest(
            model=model, dataset=dataset, run_time=run_time or ""
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
        return _SentReport(model, dataset, start.run_time, content)

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
