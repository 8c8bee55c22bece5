"""The calls about training jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ktt.trainer.v1 import training_pb2
from ktt_core.fields import within
from ktt_rpc.call import in_thread, note_job
from ktt_rpc.job_messages import event_to_proto, states_from_proto
from ktt_rpc.paging import next_page_token, page_cursor, page_size
from ktt_rpc.watching import watch
from trainer.hosting import HostedTrainer
from trainer.messages.training import training_job_to_proto, training_spec_from_proto
from trainer.servicer.filters import labels_of
from trainer.specs import TRAINING

__all__ = ["TrainingCalls"]


class TrainingCalls:
    """Making, showing, watching and cancelling training jobs."""

    trainer: HostedTrainer

    async def CreateTrainingJob(  # noqa: N802
        self, request: training_pb2.CreateTrainingJobRequest, context: Any
    ) -> training_pb2.CreateTrainingJobResponse:
        """Make a job, or only check its spec."""
        spec = training_spec_from_proto(request.spec)
        if request.validate_only:
            with within("spec"):
                await in_thread(self.trainer.validate_training, spec)
            message = training_pb2.TrainingJob(spec=request.spec)
            return training_pb2.CreateTrainingJobResponse(training_job=message)
        with within("spec", but=("request_id",)):
            job = await in_thread(self.trainer.submit_training, spec, request.request_id)
        note_job(job.id)
        return training_pb2.CreateTrainingJobResponse(training_job=training_job_to_proto(job))

    async def GetTrainingJob(  # noqa: N802
        self, request: training_pb2.GetTrainingJobRequest, context: Any
    ) -> training_pb2.GetTrainingJobResponse:
        """Return a job."""
        note_job(request.id)
        job = await in_thread(self.trainer.get_job, request.id, TRAINING)
        return training_pb2.GetTrainingJobResponse(training_job=training_job_to_proto(job))

    async def ListTrainingJobs(  # noqa: N802
        self, request: training_pb2.ListTrainingJobsRequest, context: Any
    ) -> training_pb2.ListTrainingJobsResponse:
        """Return a page of jobs."""
        jobs, cursor = await in_thread(
            self.trainer.jobs.list,
            kinds=[TRAINING],
            states=states_from_proto(request.states),
            labels=labels_of(request.dataset, request.model),
            limit=page_size(request),
            after=page_cursor(request),
        )
        return training_pb2.ListTrainingJobsResponse(
            training_jobs=map(training_job_to_proto, jobs),
            next_page_token=next_page_token(request, cursor),
        )

    async def WatchTrainingJob(  # noqa: N802
        self, request: training_pb2.WatchTrainingJobRequest, context: Any
    ) -> AsyncIterator[training_pb2.WatchTrainingJobResponse]:
        """Send a job's events."""
        note_job(request.id)
        await in_thread(self.trainer.get_job, request.id, TRAINING)
        async for event in watch(self.trainer.jobs, request.id, request.after_event):
            yield training_pb2.WatchTrainingJobResponse(event=event_to_proto(event))

    async def CancelTrainingJob(  # noqa: N802
        self, request: training_pb2.CancelTrainingJobRequest, context: Any
    ) -> training_pb2.CancelTrainingJobResponse:
        """Cancel a job."""
        note_job(request.id)
        job = await in_thread(self.trainer.cancel_job, request.id, TRAINING)
        return training_pb2.CancelTrainingJobResponse(training_job=training_job_to_proto(job))
