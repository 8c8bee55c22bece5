"""The calls about evaluation jobs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from io import BufferedReader
from typing import Any

from ktt.trainer.v1 import evaluation_pb2
from ktt_core.errors import InvalidArgumentError
from ktt_core.fields import at_field, within
from ktt_rpc.call import in_thread, in_work_thread, note_job
from ktt_rpc.job_messages import event_to_proto, states_from_proto
from ktt_rpc.paging import next_page_token, page_cursor, page_size
from ktt_rpc.watching import watch
from trainer.hosting import HostedTrainer
from trainer.messages.evaluation import evaluation_job_to_proto, evaluation_spec_from_proto
from trainer.servicer.filters import labels_of
from trainer.specs import EVALUATION

__all__ = ["EvaluationCalls"]

_CHUNK_BYTES = 512 * 1024


class EvaluationCalls:
    """Making, showing, watching and cancelling evaluation jobs."""

    trainer: HostedTrainer

    async def CreateEvaluationJob(  # noqa: N802
        self, request: evaluation_pb2.CreateEvaluationJobRequest, context: Any
    ) -> evaluation_pb2.CreateEvaluationJobResponse:
        """Make a job, or only check its spec."""
        with within("spec"):
            spec = evaluation_spec_from_proto(request.spec)
        if request.validate_only:
            with within("spec"):
                await in_thread(self.trainer.validate_evaluation, spec)
            message = evaluation_pb2.EvaluationJob(spec=request.spec)
            return evaluation_pb2.CreateEvaluationJobResponse(evaluation_job=message)
        with within("spec", but=("request_id",)):
            job = await in_thread(self.trainer.submit_evaluation, spec, request.request_id)
        note_job(job.id)
        return evaluation_pb2.CreateEvaluationJobResponse(
            evaluation_job=evaluation_job_to_proto(job)
        )

    async def DownloadEvaluationErrors(  # noqa: N802
        self, request: evaluation_pb2.DownloadEvaluationErrorsRequest, context: Any
    ) -> AsyncIterator[evaluation_pb2.DownloadEvaluationErrorsResponse]:
        """Send what a job's models got wrong."""
        note_job(request.evaluation_job_id)
        with at_field("evaluation_job_id"):
            file = await in_thread(self.trainer.open_errors, request.evaluation_job_id)
        with file:
            yield evaluation_pb2.DownloadEvaluationErrorsResponse(
                start=await in_work_thread(_start_of, file, request.offset)
            )
            while chunk := await in_thread(file.read, _CHUNK_BYTES):
                yield evaluation_pb2.DownloadEvaluationErrorsResponse(chunk=chunk)

    async def GetEvaluationJob(  # noqa: N802
        self, request: evaluation_pb2.GetEvaluationJobRequest, context: Any
    ) -> evaluation_pb2.GetEvaluationJobResponse:
        """Return a job."""
        note_job(request.id)
        job = await in_thread(self.trainer.get_job, request.id, EVALUATION)
        return evaluation_pb2.GetEvaluationJobResponse(evaluation_job=evaluation_job_to_proto(job))

    async def ListEvaluationJobs(  # noqa: N802
        self, request: evaluation_pb2.ListEvaluationJobsRequest, context: Any
    ) -> evaluation_pb2.ListEvaluationJobsResponse:
        """Return a page of jobs."""
        jobs, cursor = await in_thread(
            self.trainer.jobs.list,
            kinds=[EVALUATION],
            states=states_from_proto(request.states),
            labels=labels_of(request.dataset, request.model),
            limit=page_size(request),
            after=page_cursor(request),
        )
        return evaluation_pb2.ListEvaluationJobsResponse(
            evaluation_jobs=map(evaluation_job_to_proto, jobs),
            next_page_token=next_page_token(request, cursor),
        )

    async def WatchEvaluationJob(  # noqa: N802
        self, request: evaluation_pb2.WatchEvaluationJobRequest, context: Any
    ) -> AsyncIterator[evaluation_pb2.WatchEvaluationJobResponse]:
        """Send a job's events."""
        note_job(request.id)
        await in_thread(self.trainer.get_job, request.id, EVALUATION)
        async for event in watch(self.trainer.jobs, request.id, request.after_event):
            yield evaluation_pb2.WatchEvaluationJobResponse(event=event_to_proto(event))

    async def CancelEvaluationJob(  # noqa: N802
        self, request: evaluation_pb2.CancelEvaluationJobRequest, context: Any
    ) -> evaluation_pb2.CancelEvaluationJobResponse:
        """Cancel a job."""
        note_job(request.id)
        job = await in_thread(self.trainer.cancel_job, request.id, EVALUATION)
        return evaluation_pb2.CancelEvaluationJobResponse(
            evaluation_job=evaluation_job_to_proto(job)
        )


def _start_of(file: BufferedReader, offset: int) -> evaluation_pb2.EvaluationErrorsStart:
    """Describe a file, and go to where its reader goes on."""
    digest = hashlib.file_digest(file, "sha256")
    size = file.tell()
    if not 0 <= offset <= size:
        raise InvalidArgumentError(
            f"the file has {size:,} bytes; there is no offset {offset:,}", field="offset"
        )
    file.seek(offset)
    return evaluation_pb2.EvaluationErrorsStart(size_bytes=size, sha256=digest.hexdigest())
