"""The calls about models, checkpoints and reports."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from ktt.trainer.v1 import models_pb2
from ktt_core.fields import at_field
from ktt_rpc.current_call import in_thread
from ktt_rpc.paging import next_page_token, page_cursor, page_size
from trainer.messages.models import checkpoint_to_proto, encoder_to_proto, model_to_proto
from trainer.server import TrainerServer

__all__ = ["ModelCalls"]

_CHUNK_BYTES = 512 * 1024


class ModelCalls:
    """Lists models, encoders and checkpoints; sends reports."""

    trainer: TrainerServer

    async def ListModels(  # noqa: N802
        self, request: models_pb2.ListModelsRequest, context: Any
    ) -> models_pb2.ListModelsResponse:
        """Return a page of models."""
        models, cursor = await in_thread(
            self.trainer.page_models, request.framework, page_size(request), page_cursor(request)
        )
        return models_pb2.ListModelsResponse(
            models=map(model_to_proto, models), next_page_token=next_page_token(request, cursor)
        )

    async def GetModel(  # noqa: N802
        self, request: models_pb2.GetModelRequest, context: Any
    ) -> models_pb2.GetModelResponse:
        """Return one model with its hyperparameters."""
        with at_field("id"):
            model = await in_thread(self.trainer.get_model, request.id)
        return models_pb2.GetModelResponse(model=model_to_proto(model))

    async def ListEncoders(  # noqa: N802
        self, request: models_pb2.ListEncodersRequest, context: Any
    ) -> models_pb2.ListEncodersResponse:
        """Return a page of encoders."""
        encoders, cursor = await in_thread(
            self.trainer.page_encoders, page_size(request), page_cursor(request)
        )
        return models_pb2.ListEncodersResponse(
            encoders=map(encoder_to_proto, encoders),
            next_page_token=next_page_token(request, cursor),
        )

    async def ListCheckpoints(  # noqa: N802
        self, request: models_pb2.ListCheckpointsRequest, context: Any
    ) -> models_pb2.ListCheckpointsResponse:
        """Return a page of checkpoints."""
        checkpoints, cursor = await in_thread(
            self.trainer.page_checkpoints,
            request.model,
            request.dataset,
            page_size(request),
            page_cursor(request),
        )
        return models_pb2.ListCheckpointsResponse(
            checkpoints=[checkpoint_to_proto(info, self.trainer.root) for info in checkpoints],
            next_page_token=next_page_token(request, cursor),
        )

    async def DownloadReport(  # noqa: N802
        self, request: models_pb2.DownloadReportRequest, context: Any
    ) -> AsyncIterator[models_pb2.DownloadReportResponse]:
        """Send a run's report."""
        report = await in_thread(
            self.trainer.read_report, request.model, request.dataset, request.run_time or None
        )
        content = report.content
        start = models_pb2.ReportStart(
            file_name=report.file_name,
            run_time=report.run_time,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )
        yield models_pb2.DownloadReportResponse(start=start)
        for at in range(0, len(content), _CHUNK_BYTES):
            yield models_pb2.DownloadReportResponse(chunk=content[at : at + _CHUNK_BYTES])
