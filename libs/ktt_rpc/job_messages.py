"""Conversion of jobs to messages and back, for all kinds (``ktt.jobs.v1``) and for each."""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from ktt.jobs.v1 import jobs_pb2
from ktt_core.documents import Document
from ktt_core.errors import InvalidArgumentError
from ktt_core.progress import Progress
from ktt_jobs import Job, JobError, JobEvent, JobState
from ktt_jobs.kinds import JobKind, JobSpec
from ktt_rpc.current_call import public_text

__all__ = [
    "JobCodec",
    "codec_of",
    "event_from_proto",
    "event_to_proto",
    "job_from_proto",
    "job_to_proto",
    "progress_from_proto",
    "progress_to_proto",
    "state_from_proto",
    "state_to_proto",
    "states_from_proto",
    "status_to_proto",
    "time_from_proto",
    "time_to_proto",
]

_PREFIX = "JOB_STATE_"
_LONGEST_ETA = 10 * 365 * 86400.0

S = TypeVar("S", bound=JobSpec)
R = TypeVar("R", bound=Document)


@dataclass(frozen=True)
class JobCodec(Generic[S, R]):
    """Conversion of the spec and the outcome of a kind of job.

    Attributes
    ----------
    messages : module
        Generated module with the kind's job, requests and responses.
    spec_to_proto, spec_from_proto, outcome_to_proto, outcome_from_proto : callable
        The ``from`` ones may raise InvalidArgumentError; `field` is the spec's.
    """

    messages: ModuleType
    spec_to_proto: Callable[[S], Any]
    spec_from_proto: Callable[[Any], S]
    outcome_to_proto: Callable[[R], Any]
    outcome_from_proto: Callable[[Any], R]

    def message(self, name: str) -> Callable[..., Any]:
        """Return the class of a message."""
        return cast(Callable[..., Any], getattr(self.messages, name))


def codec_of(kind: JobKind[S]) -> JobCodec[S, Any]:
    """Return the codec of a kind of job."""
    return cast(JobCodec[S, Any], pkgutil.resolve_name(kind.codec))


def state_to_proto(state: JobState) -> jobs_pb2.JobState:
    """Return the enum value of a state."""
    return cast(jobs_pb2.JobState, jobs_pb2.JobState.Value(_PREFIX + state.name))


def state_from_proto(state: int) -> JobState:
    """Return the state of an enum value.

    Raises
    ------
    InvalidArgumentError
        If the value is ``JOB_STATE_UNSPECIFIED`` or unknown to this version.
    """
    name = jobs_pb2.JobState.Name(state) if state in jobs_pb2.JobState.values() else ""
    known = {_PREFIX + member.name: member for member in JobState}
    if name not in known:
        raise InvalidArgumentError(f"state {name or state}: give one of {', '.join(known)}")
    return known[name]


def states_from_proto(states: Iterable[int], field: str = "states") -> tuple[JobState, ...]:
    """Return the states that a list call filters by.

    Raises
    ------
    InvalidArgumentError
        If one is not a state; `field` has its index.
    """
    found = []
    for at, state in enumerate(states):
        try:
            found.append(state_from_proto(state))
        except InvalidArgumentError as error:
            raise InvalidArgumentError(str(error), field=f"{field}[{at}]") from error
    return tuple(dict.fromkeys(found))


def time_to_proto(time: datetime | None) -> Timestamp | None:
    """Return the Timestamp of an aware time; None stays None."""
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def time_from_proto(stamp: Timestamp) -> datetime:
    """Return the time of a Timestamp, in UTC."""
    return stamp.ToDatetime(tzinfo=UTC)


def progress_to_proto(progress: Progress, eta: float | None) -> jobs_pb2.Progress:
    """Return the message of a progress; `eta` in seconds."""
    message = jobs_pb2.Progress(
        phase=progress.phase,
        step=progress.step,
        total=progress.total,
        unit=progress.unit,
        metrics={name: float(value) for name, value in progress.metrics.items()},
    )
    if eta is not None and math.isfinite(eta):
        duration = Duration()
        duration.FromTimedelta(timedelta(seconds=min(max(eta, 0.0), _LONGEST_ETA)))
        message.eta.CopyFrom(duration)
    return message


def progress_from_proto(message: jobs_pb2.Progress) -> tuple[Progress, float | None]:
    """Return the progress of a message, and its estimate in seconds."""
    progress = Progress(
        phase=message.phase,
        step=message.step,
        total=message.total if message.HasField("total") else None,
        unit=message.unit,
        metrics=dict(message.metrics),
    )
    eta = message.eta.ToTimedelta().total_seconds() if message.HasField("eta") else None
    return progress, eta


def event_to_proto(event: JobEvent) -> jobs_pb2.JobEvent:
    """Return the message of an event."""
    message = jobs_pb2.JobEvent(sequence=event.sequence, time=time_to_proto(event.time))
    if event.state is not None:
        message.state = state_to_proto(event.state)
    elif event.progress is not None:
        message.progress.CopyFrom(progress_to_proto(event.progress, event.eta))
    return message


def event_from_proto(message: jobs_pb2.JobEvent) -> JobEvent:
    """Return the event of a message."""
    kind = message.WhichOneof("kind")
    progress, eta = progress_from_proto(message.progress) if kind == "progress" else (None, None)
    return JobEvent(
        sequence=message.sequence,
        time=time_from_proto(message.time),
        state=state_from_proto(message.state) if kind == "state" else None,
        progress=progress,
        eta=eta,
    )


def status_to_proto(job: Job) -> jobs_pb2.JobStatus:
    """Return the status message of a job."""
    status = jobs_pb2.JobStatus(
        state=state_to_proto(job.state),
        create_time=time_to_proto(job.create_time),
        start_time=time_to_proto(job.start_time),
        end_time=time_to_proto(job.end_time),
        attempt=job.attempt,
        last_event=job.last_event,
        jobs_ahead=job.jobs_ahead,
        request_id=job.request_id,
        cancel_requested=job.cancel_requested,
    )
    if job.progress is not None:
        status.progress.CopyFrom(progress_to_proto(job.progress, job.eta))
    if job.error is not None:
        status.error.CopyFrom(
            jobs_pb2.JobError(
                type=job.error.type,
                message=public_text(job.error.message),
                exit_code=job.error.exit_code,
                signal=job.error.signal,
                log_tail=map(public_text, job.error.log_tail),
            )
        )
    return status


def job_to_proto(kind: JobKind[Any], job: Job) -> Any:
    """Return the message of a job of a kind: ``TrainingJob``, say."""
    codec = codec_of(kind)
    message = codec.message(f"{kind.name.capitalize()}Job")(
        id=job.id,
        spec=codec.spec_to_proto(kind.spec.from_json(job.spec)),
        status=status_to_proto(job),
    )
    if job.result is not None:
        outcome = kind.outcome.from_json(job.result)
        message.result.CopyFrom(codec.outcome_to_proto(outcome))
    return message


def job_from_proto(kind: JobKind[Any], message: Any) -> Job:
    """Undo `job_to_proto`."""
    codec, status = codec_of(kind), message.status
    spec = codec.spec_from_proto(message.spec)
    result = None
    if message.HasField("result"):
        result = codec.outcome_from_proto(message.result).to_json()
    progress, eta = (
        progress_from_proto(status.progress) if status.HasField("progress") else (None, None)
    )
    return Job(
        id=message.id,
        kind=kind.name,
        spec=spec.to_json(),
        labels=spec.labels,
        state=state_from_proto(status.state),
        create_time=time_from_proto(status.create_time),
        start_time=_time_of(status, "start_time"),
        end_time=_time_of(status, "end_time"),
        progress=progress,
        eta=eta,
        error=_error_from_proto(status.error) if status.HasField("error") else None,
        result=result,
        attempt=status.attempt,
        last_event=status.last_event,
        jobs_ahead=status.jobs_ahead,
        request_id=status.request_id,
        cancel_requested=status.cancel_requested,
    )


def _time_of(status: jobs_pb2.JobStatus, field: str) -> datetime | None:
    return time_from_proto(getattr(status, field)) if status.HasField(field) else None


def _error_from_proto(message: jobs_pb2.JobError) -> JobError:
    return JobError(
        type=message.type,
        message=message.message,
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        signal=message.signal,
        log_tail=tuple(message.log_tail),
    )
