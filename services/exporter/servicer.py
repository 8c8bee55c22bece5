"""``ktt.exporter.v1.ExporterService``: messages in and out, the handlers in between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from exporter.artifacts import Artifact
from exporter.handlers import Exporter
from exporter.job_kind import KINDS
from exporter.messages import (
    answer_to_proto,
    decoding_from_proto,
)
from ktt.exporter.v1 import (
    exporter_service_pb2,
    exporter_service_pb2_grpc,
    exports_pb2,
    predict_pb2,
)
from ktt_core.errors import InvalidArgumentError, UnavailableError
from ktt_core.fields import at_field
from ktt_core.texts import check_text
from ktt_rpc.current_call import abandoned, in_thread, in_work_thread, note_job
from ktt_rpc.job_calls import add_job_calls
from ktt_rpc.server import ServiceSpec

__all__ = [
    "MAX_PATHS",
    "MAX_TEXTS",
    "MAX_TEXT_BYTES",
    "SERVICE_NAME",
    "ExporterServicer",
    "exporter_service",
]

SERVICE_NAME = exporter_service_pb2.DESCRIPTOR.services_by_name["ExporterService"].full_name

#: Limits of one Predict call: its texts, their total size in UTF-8, and the paths of all answers.
MAX_TEXTS = 1000
MAX_TEXT_BYTES = 8 * 1024**2
MAX_PATHS = 50_000

# Texts answered between two checks that the caller is still there.
_BLOCK_ROWS = 128


class ExporterServicer(exporter_service_pb2_grpc.ExporterServiceServicer):
    """Answers calls by an exporter.

    Parameters
    ----------
    exporter : Exporter
    """

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        add_job_calls(self, exporter, KINDS)

    async def DownloadArtifact(  # noqa: N802
        self, request: exports_pb2.DownloadArtifactRequest, context: Any
    ) -> AsyncIterator[exports_pb2.DownloadArtifactResponse]:
        """Send the result of a job."""
        note_job(request.export_job_id)
        with at_field("export_job_id"):
            artifact, chunks = await in_thread(self._open, request)
        start = exports_pb2.ArtifactStart(
            file_name=artifact.file_name,
            size_bytes=artifact.size_bytes,
            sha256=artifact.sha256,
        )
        yield exports_pb2.DownloadArtifactResponse(start=start)
        while chunk := await in_thread(next, chunks, b""):
            yield exports_pb2.DownloadArtifactResponse(chunk=chunk)

    def _open(
        self, request: exports_pb2.DownloadArtifactRequest
    ) -> tuple[Artifact, Iterator[bytes]]:
        artifact = self._exporter.open_artifact(request.export_job_id)
        return artifact, artifact.chunks(request.offset)

    async def Predict(  # noqa: N802
        self, request: predict_pb2.PredictRequest, context: Any
    ) -> predict_pb2.PredictResponse:
        """Classify texts."""
        await in_thread(_check_texts, request)
        return await in_work_thread(self._predict, request)

    def _predict(self, request: predict_pb2.PredictRequest) -> predict_pb2.PredictResponse:
        response = predict_pb2.PredictResponse()
        answers = self._exporter.predict(
            request.dataset,
            request.model,
            request.texts,
            top_k=request.top_k or 1,
            min_confidence=request.min_confidence,
            decoding=decoding_from_proto(request.decoding),
            label=request.label or "best",
            time=request.run_time or None,
            block_rows=_BLOCK_ROWS,
        )
        paths = 0
        for answer in answers:
            paths += len(answer)
            if paths > MAX_PATHS:
                raise InvalidArgumentError(
                    f"the answers have more than {MAX_PATHS:,} paths in all: ask for fewer per "
                    "text, or send fewer texts at once",
                    field="top_k",
                )
            response.answers.append(answer_to_proto(answer))
            if len(response.answers) % _BLOCK_ROWS == 0 and abandoned():
                raise UnavailableError("the caller has gone")
        return response


def _check_texts(request: predict_pb2.PredictRequest) -> None:
    """Check the texts of one call, and its limits.

    Raises
    ------
    InvalidArgumentError
        If a text cannot be classified, or a limit is exceeded; `field` is ``texts`` or the text.
    """
    if len(request.texts) > MAX_TEXTS:
        raise InvalidArgumentError(
            f"{len(request.texts):,} texts are more than the {MAX_TEXTS:,} of one call: send them "
            "in several",
            field="texts",
        )
    total = 0
    for at, text in enumerate(request.texts):
        with at_field(f"texts[{at}]"):
            total += check_text(text, f"text {at + 1}")
        if total > MAX_TEXT_BYTES:
            raise InvalidArgumentError(
                f"the texts are more than {MAX_TEXT_BYTES:,} bytes from text {at + 1} on: send "
                "fewer, or shorter ones, at once",
                field=f"texts[{at}]",
            )


def exporter_service(exporter: Exporter) -> ServiceSpec:
    """Return the exporter as `ktt_rpc.server.serve` takes it."""
    return ServiceSpec(
        exporter_service_pb2_grpc.add_ExporterServiceServicer_to_server,
        ExporterServicer(exporter),
        SERVICE_NAME,
        private=(exporter.root,),
    )
