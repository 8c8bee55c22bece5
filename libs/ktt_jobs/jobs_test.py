"""What a job says of itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ktt_core.errors import DataError, JobFailedError, KttError, TrainingError
from ktt_jobs import Job, JobError, JobState

JOB = Job("a", "training", {}, {}, JobState.CANCELLED, datetime.now(UTC))


@pytest.mark.parametrize(
    ("error", "kind", "general", "message"),
    [
        (JobError("DataError", "no rows"), DataError, DataError, "no rows"),
        (JobError("WorkerDied", "killed"), JobFailedError, TrainingError, "killed"),
        (JobError("JobFailedError", "it differs"), JobFailedError, TrainingError, "it differs"),
        (JobError("Path", "no error's name"), JobFailedError, TrainingError, "no error's name"),
        (None, JobFailedError, TrainingError, "the job a was cancelled"),
    ],
)
def test_a_job_without_a_result_says_why_as_its_task_did(
    error: JobError | None, kind: type[KttError], general: type[KttError], message: str
) -> None:
    job = replace(JOB, error=error)
    for found, wanted in ((job.exception(), kind), (job.exception(TrainingError), general)):
        assert (type(found), str(found)) == (wanted, message)
    assert replace(job, result={}).exception() is None
