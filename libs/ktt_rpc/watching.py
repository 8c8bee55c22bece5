"""The events of a job as an asynchronous stream."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ktt_jobs import JobEvent, JobService

__all__ = ["watch"]


async def watch(jobs: JobService, job_id: str, after: int = 0) -> AsyncIterator[JobEvent]:
    """Yield a job's events from the first after `after` on, each once, until the job has ended.

    ::

        async for event in watch(jobs, request.id, request.after_event):
            yield WatchTrainingJobResponse(event=event_to_proto(event))

    Raises
    ------
    InvalidArgumentError
        `after` is negative or beyond the job's newest event (field ``after_event``).
    NotFoundError
        There is no such job.
    UnavailableError
        The server is stopping: the caller reconnects and goes on after the last event it has.
    """
    raise NotImplementedError
    yield
