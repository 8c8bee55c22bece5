"""Jobs and their events as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ktt_core.errors import JobFailedError, KttError, error_class
from ktt_core.progress import Progress

__all__ = ["Job", "JobError", "JobEvent", "JobState", "RunPolicy"]


class JobState(StrEnum):
    """State of a job."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether the state is final."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True)
class JobError:
    """Why a job failed.

    Attributes
    ----------
    type : str
        The name of a class of `ktt_core.errors`, or "WorkerDied" (the process was killed or ended
        before it was done), "ServerRestarted" (it was begun too often and the server died each
        time), "RunnerGone" (the command that ran it is gone) or "InternalError" (a bug).
    message : str
        What was wrong, where, and what to do.
    exit_code : int or None
        Exit code of a worker that ended without a result.
    signal : str
        The name of the signal that killed the worker ("SIGKILL"), or "".
    log_tail : tuple of str
        The last lines of the worker's standard output and error.
    """

    type: str
    message: str
    exit_code: int | None = None
    signal: str = ""
    log_tail: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """A snapshot of a job.

    Attributes
    ----------
    id : str
    kind : str
        What is done: a key of the service's tasks.
    spec : mapping
        The task's input, in JSON values.
    labels : mapping of str to str
        Labels for filters: "dataset", "model".
    state : JobState
    create_time, start_time, end_time : datetime or None
        UTC. `start_time` is that of the newest attempt.
    progress : Progress or None
        The newest.
    eta : float or None
        Seconds until the current phase ends; None while unknown.
    error : JobError or None
        Only in state FAILED.
    result : mapping or None
        The task's output, in JSON values; only in state SUCCEEDED.
    attempt : int
        Number of attempts so far.
    last_event : int
        The number of its newest event.
    jobs_ahead : int
        Number of jobs before it in the queue; 0 unless QUEUED.
    request_id : str
        Request id that created it, or "".
    cancel_requested : bool
        Whether it was cancelled and has not ended yet.
    """

    id: str
    kind: str
    spec: Mapping[str, Any]
    labels: Mapping[str, str]
    state: JobState
    create_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    progress: Progress | None = None
    eta: float | None = None
    error: JobError | None = None
    result: Mapping[str, Any] | None = None
    attempt: int = 0
    last_event: int = 0
    jobs_ahead: int = 0
    request_id: str = ""
    cancel_requested: bool = False

    def exception(self, general: type[KttError] = JobFailedError) -> KttError | None:
        """Return the error of an ended job, as its task raised it; None if it has a result.

        Parameters
        ----------
        general : type
            Error class for jobs that were cancelled or whose process died.
        """
        if self.result is not None:
            return None
        if self.error is None:
            return general(f"the job {self.id} was cancelled")
        kind = error_class(self.error.type) or general
        return (general if issubclass(kind, JobFailedError) else kind)(self.error.message)


@dataclass(frozen=True)
class JobEvent:
    """A change of a job's state, or progress of a running job.

    Attributes
    ----------
    sequence : int
        From 1, without gaps.
    time : datetime
        UTC.
    state : JobState or None
    progress : Progress or None
    eta : float or None
        Seconds until the phase of `progress` ends; None while unknown.
    """

    sequence: int
    time: datetime
    state: JobState | None = None
    progress: Progress | None = None
    eta: float | None = None


@dataclass(frozen=True)
class RunPolicy:
    """Settings for running jobs.

    Attributes
    ----------
    step_grace : float
        Seconds that the worker of a cancelled job has to finish a step and save its state.
    memory_advice : str
        Advice for errors where memory ran out.
    """

    step_grace: float = 60.0
    memory_advice: str = "ask for less at once"
