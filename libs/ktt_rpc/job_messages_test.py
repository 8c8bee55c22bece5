import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt.jobs.v1 import jobs_pb2
from ktt.trainer.v1 import training_pb2
from ktt_core.documents import Document
from ktt_core.errors import InvalidArgumentError
from ktt_core.progress import Progress
from ktt_jobs import Job, JobError, JobEvent, JobState
from ktt_jobs.kinds import JobKind, JobSpec
from ktt_rpc import call_state
from ktt_rpc.job_messages import (
    JobCodec,
    event_from_proto,
    event_to_proto,
    job_from_proto,
    job_to_proto,
    state_to_proto,
    states_from_proto,
    status_to_proto,
)
from ktt_rpc.private_paths import PrivatePaths
from ktt_rpc.shutdown import ShutdownFlag


@dataclass(frozen=True)
class _Spec(JobSpec):
    dataset: str

    @property
    def labels(self):
        return {"of": self.dataset}


@dataclass(frozen=True)
class _Outcome(Document):
    run_time: str


CODEC = JobCodec(
    training_pb2,
    lambda spec: training_pb2.TrainingSpec(dataset=spec.dataset),
    lambda message: _Spec(message.dataset),
    lambda outcome: training_pb2.TrainingResult(run_time=outcome.run_time),
    lambda message: _Outcome(message.run_time),
)
_KIND = JobKind("training", _Spec, _Outcome, f"{__name__}:CODEC", "", "")

_TIMES = st.datetimes(
    datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001
)
_COUNTS = st.integers(0, 2**31 - 1)
_TEXTS = st.text(max_size=30)
_SECONDS = st.integers(0, 10**12).map(lambda micros: micros / 1e6)
_PROGRESS = st.builds(
    Progress,
    _TEXTS,
    _COUNTS,
    st.none() | _COUNTS,
    _TEXTS,
    st.dictionaries(_TEXTS, st.floats(allow_nan=False), max_size=3),
)
_ERRORS = st.builds(
    JobError,
    _TEXTS,
    _TEXTS,
    st.none() | st.integers(-128, 255),
    _TEXTS,
    st.lists(_TEXTS, max_size=3).map(tuple),
)
_EVENTS = st.builds(JobEvent, _COUNTS, _TIMES, st.sampled_from(JobState)) | st.builds(
    JobEvent, _COUNTS, _TIMES, st.none(), _PROGRESS, st.none() | _SECONDS
)
_JOBS = st.builds(
    Job,
    id=_TEXTS,
    kind=st.just("training"),
    spec=st.just({"dataset": "d"}),
    labels=st.just({"of": "d"}),
    state=st.sampled_from(JobState),
    create_time=_TIMES,
    start_time=st.none() | _TIMES,
    end_time=st.none() | _TIMES,
    progress=st.none() | _PROGRESS,
    error=st.none() | _ERRORS,
    result=st.none() | st.just({"run_time": "now"}),
    attempt=_COUNTS,
    last_event=_COUNTS,
    jobs_ahead=_COUNTS,
    request_id=_TEXTS,
    cancel_requested=st.booleans(),
)


@settings(deadline=None)
@given(_EVENTS)
def test_an_event_comes_back_as_it_was(event):
    sent = jobs_pb2.JobEvent.FromString(event_to_proto(event).SerializeToString())
    assert event_from_proto(sent) == event


@settings(deadline=None)
@given(_JOBS)
def test_a_job_comes_back_as_it_was(job):
    sent = job_to_proto(_KIND, job).SerializeToString()
    assert job_from_proto(_KIND, training_pb2.TrainingJob.FromString(sent)) == job


def test_every_state_has_a_value_and_comes_back():
    assert states_from_proto([state_to_proto(state) for state in JobState]) == tuple(JobState)


@pytest.mark.parametrize("state", [0, 99, -1])
def test_what_is_no_state_is_refused_by_its_place(state):
    with pytest.raises(InvalidArgumentError, match="JOB_STATE_QUEUED") as raised:
        states_from_proto([1, state])
    assert raised.value.field == "states[1]"


def test_an_estimate_without_bounds_is_sent_as_the_longest_there_is():
    event = JobEvent(1, datetime.now(UTC), None, Progress("fit"), 1e300)
    assert event_to_proto(event).progress.eta.ToTimedelta() == timedelta(days=3650)
    for eta in (math.inf, math.nan):
        assert not event_to_proto(replace(event, eta=eta)).progress.HasField("eta")


def test_what_a_client_is_told_of_a_failure_leaves_out_where_the_server_s_files_are():
    error = JobError("KttError", "/data/ws/weights is full", log_tail=("in /data/ws",))
    job = Job("j1", "training", {}, {}, JobState.FAILED, datetime.now(UTC), error=error)
    private = PrivatePaths([Path("/data/ws")])
    token = call_state.enter(
        call_state.CallState("/a/B", "r1", "peer", None, ShutdownFlag(), private=private)
    )
    try:
        sent = status_to_proto(job).error
    finally:
        call_state.leave(token)
    assert (sent.message, list(sent.log_tail)) == ("weights is full", ["in the workspace"])
