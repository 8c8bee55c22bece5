"""Download of evaluations' wrong answers; other calls are common to all kinds of jobs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from io import BufferedReader
from typing import Any

from ktt.trainer.v1 import evaluation_pb2
from ktt_core.errors import InvalidArgumentError
from ktt_core.fields import at_field
from ktt_rpc.current_call import in_thread, in_work_thread, note_job
from trainer.server import TrainerServer

__all__ = ["EvaluationCalls"]

_CHUNK_BYTES = 512 * 1024


class EvaluationCalls:
    """Sends the wrong answers of evaluation jobs."""

    trainer: TrainerServer

    async def DownloadEvaluationErrors(  # noqa: N802
        self, request: evaluation_pb2.DownloadEvaluationErrorsRequest, context: Any
    ) -> AsyncIterator[evaluation_pb2.DownloadEvaluationErrorsResponse]:
        """Send the wrong answers of a job."""
        note_job(request.evaluation_job_id)
        with at_field("evaluation_job_id"):
            file = await in_thread(self.trainer.open_errors, request.evaluation_job_id)
        with file:
            yield evaluation_pb2.DownloadEvaluationErrorsResponse(
                start=await in_work_thread(_start_of, file, request.offset)
            )
            while chunk := await in_thread(file.read, _CHUNK_BYTES):
                yield evaluation_pb2.DownloadEvaluationErrorsResponse(chunk=chunk)


def _start_of(file: BufferedReader, offset: int) -> evaluation_pb2.EvaluationErrorsStart:
    """Describe a file, and seek to the reader's offset."""
    digest = hashlib.file_digest(file, "sha256")
    size = file.tell()
    if not 0 <= offset <= size:
        raise InvalidArgumentError(
            f"the file has {size:,} bytes; there is no offset {offset:,}", field="offset"
        )
    file.seek(offset)
    return evaluation_pb2.EvaluationErrorsStart(size_bytes=size, sha256=digest.hexdigest())
