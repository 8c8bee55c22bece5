"""Log lines for ended jobs."""

from __future__ import annotations

import logging

from ktt_jobs import Job, JobService, JobState

__all__ = ["log_ends"]

_LOG = logging.getLogger("ktt_rpc.jobs")


def log_ends(jobs: JobService) -> None:
    """Log the end of each job: its kind, state, time and, if it failed, the error's type.

    The error's message is only in the job, for authorised clients.
    """
    jobs.on_end.append(_log_end)


def _log_end(job: Job) -> None:
    seconds = None
    if job.start_time is not None and job.end_time is not None:
        seconds = (job.end_time - job.start_time).total_seconds()
    _LOG.log(
        logging.WARNING if job.state is JobState.FAILED else logging.INFO,
        "job ended",
        extra={
            "job_id": job.id,
            "request_id": job.request_id,
            "kind": job.kind,
            "state": job.state.name,
            "ms": None if seconds is None else round(seconds * 1000),
            "error_type": job.error.type if job.error is not None else "",
        },
    )
