"""Work that can be continued ends at a step, keeps what it has, and goes on from there."""

from __future__ import annotations

import io
import json
import time

import pytest

from ktt_core.progress import Progress
from ktt_jobs import JobService, JobState, RunPolicy, StoppedError, TaskContext
from ktt_jobs.context import EventWriter
from ktt_jobs.sample_server import TASKS, eventually


@pytest.fixture
def service(tmp_path):
    service = JobService(tmp_path / "jobs", TASKS)
    yield service
    service.stop(grace=0)
    service.close()


@pytest.fixture
def spec(tmp_path):
    return {"last": str(tmp_path / "last"), "steps": 10_000}


@pytest.fixture
def context(tmp_path):
    return TaskContext("id", 1, tmp_path, EventWriter(io.StringIO()))


def count(service, job_id):
    progress = service.get(job_id).progress
    return progress.step if progress is not None and progress.phase == "count" else 0


def test_a_request_to_stop_is_heard_at_the_next_progress_and_once(context):
    with pytest.raises(StoppedError), context.taking_steps():
        assert not context.ask_to_stop()
        context.progress(Progress("fit", 1))
    # What is done on the way out may tell of itself.
    context.progress(Progress("save"))
    assert context.ask_to_stop()


def test_a_request_after_the_last_progress_is_heard_at_the_end(context):
    done = False
    with pytest.raises(StoppedError), context.taking_steps():
        context.progress(Progress("fit", 1))
        context.ask_to_stop()
        done = True
    assert done


def test_an_error_of_the_body_goes_before_a_request(context):
    with pytest.raises(ValueError), context.taking_steps():
        context.ask_to_stop()
        raise ValueError


def test_a_job_of_a_stopped_server_goes_on_where_it_was(service, spec, tmp_path):
    service.start()
    job = service.submit("resume", spec, labels={})
    assert eventually(lambda: count(service, job.id) >= 2)
    service.stop(grace=10)
    kept = int((tmp_path / "last").read_text())
    assert kept >= 2 and service.get(job.id).state is JobState.QUEUED
    again = JobService(service.folder, TASKS)
    again.start()
    assert eventually(lambda: count(again, job.id) > kept)
    again.cancel(job.id)
    assert eventually(lambda: again.get(job.id).state.ended)
    again.stop()
    again.close()
    assert again.get(job.id).attempt == 2
    assert int((tmp_path / "last").read_text()) > kept


def test_what_was_kept_goes_when_the_job_has_ended(service, spec):
    job = service.run("resume", {**spec, "steps": 2}, labels={}, on_event=lambda event: None)
    assert job.result == {"begun": 0, "count": 2}
    # It goes once the end is known.
    assert eventually(lambda: not (service.folder / job.id / "keep").exists())


@pytest.mark.parametrize("slow", [0, 2])
def test_cancelling_waits_for_the_step_and_what_it_keeps(service, spec, tmp_path, slow):
    service.start()
    job = service.submit("resume", {**spec, "slow": slow}, labels={})
    assert eventually(lambda: count(service, job.id) >= 2)
    service.cancel(job.id)
    assert eventually(lambda: service.get(job.id).state.ended)
    assert service.get(job.id).state is JobState.CANCELLED
    assert int((tmp_path / "last").read_text()) >= 2
    # It goes once the end is known.
    assert eventually(lambda: not (service.folder / job.id / "keep").exists())


def test_cancelling_waits_no_longer_than_it_may(tmp_path, spec):
    service = JobService(tmp_path / "jobs", TASKS, policy=RunPolicy(step_grace=0.5))
    service.start()
    job = service.submit("resume", {**spec, "slow": 60}, labels={})
    assert eventually(lambda: count(service, job.id) >= 2)
    began = time.monotonic()
    service.cancel(job.id)
    assert eventually(lambda: service.get(job.id).state is JobState.CANCELLED)
    assert time.monotonic() - began < 10
    assert not (tmp_path / "last").exists()
    service.stop()
    service.close()


def interrupt_at(step):
    """Return a watcher that is interrupted at a step."""

    def watch(event):
        if event.progress is not None and event.progress.step >= step:
            raise KeyboardInterrupt

    return watch


def test_an_interrupted_command_waits_for_the_step_and_says_so(service, spec, tmp_path):
    waits: list[float] = []
    with pytest.raises(KeyboardInterrupt):
        service.run(
            "resume",
            {**spec, "slow": 1.5},
            labels={},
            on_event=interrupt_at(2),
            on_wait=waits.append,
        )
    assert waits == [60.0]
    assert int((tmp_path / "last").read_text()) >= 2
    assert service.list()[0][0].state is JobState.CANCELLED


def test_a_second_interrupt_ends_it_at_once(service, spec, tmp_path):
    def again(seconds):
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        service.run(
            "resume",
            {**spec, "slow": 60},
            labels={},
            on_event=interrupt_at(2),
            on_wait=again,
        )
    assert time.monotonic() - began < 10
    assert not (tmp_path / "last").exists()
    assert service.list()[0][0].state is JobState.CANCELLED


@pytest.mark.parametrize("there", [False, True])
def test_the_failure_hint_of_a_killed_job_is_shown_if_it_applies(service, spec, tmp_path, there):
    if there:
        (tmp_path / "last").touch()
    job = service.run("resume", {**spec, "dies_at": 2}, labels={}, on_event=lambda event: None)
    assert job.state is JobState.FAILED and job.error.signal == "SIGKILL"
    assert job.error.message.endswith("; go on with --resume") == there


def test_a_damaged_failure_hint_is_ignored(service, spec, tmp_path):
    from ktt_jobs.kept_state import read_failure_hint

    assert read_failure_hint(tmp_path) == ""
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep/word.json").write_text(json.dumps({"text": "x"}))
    assert read_failure_hint(tmp_path) == ""
