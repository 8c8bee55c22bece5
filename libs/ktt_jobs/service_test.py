"""Jobs are run, watched, cancelled and listed; what ends a worker is told."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from ktt_core.errors import (
    ConflictError,
    DataError,
    FailedPreconditionError,
    NotFoundError,
)
from ktt_jobs import JobEvent, JobService, JobState
from ktt_jobs.locks import lock_job
from ktt_jobs.sample_server import TASKS, eventually, is_gone


@pytest.fixture
def service(tmp_path):
    service = JobService(tmp_path / "jobs", TASKS)
    yield service
    service.stop(grace=0)
    service.close()


@pytest.fixture
def server(service):
    service.start()
    return service


def finish(service, kind, spec=None, **labels):
    job = service.submit(kind, spec or {}, labels=labels)
    list(service.watch(job.id, timeout=30))
    return service.get(job.id)


def test_a_job_runs_in_another_process_and_keeps_its_result(server):
    job = finish(server, "echo", {"a": [1, None, "ü"]}, dataset="toy")
    assert job.state is JobState.SUCCEEDED
    assert job.result["spec"] == {"a": [1, None, "ü"]}
    assert job.result["pid"] != os.getpid()
    assert job.attempt == 1 and job.error is None
    assert [event.state for event in server.events(job.id)] == ["QUEUED", "RUNNING", "SUCCEEDED"]


def test_a_spec_greater_than_a_command_line_arrives(server):
    spec = {"long": "x" * 500_000}
    assert finish(server, "echo", spec).result["spec"] == spec


@pytest.mark.parametrize(
    ("spec", "kind", "message", "exit_code", "signal"),
    [
        ({"signal": 9}, "WorkerDied", "SIGKILL .*memory runs out", None, "SIGKILL"),
        ({"signal": 11}, "WorkerDied", "SIGSEGV .*compiled code", None, "SIGSEGV"),
        ({"signal": 15}, "WorkerDied", "SIGTERM", None, "SIGTERM"),
        ({"code": 3}, "WorkerDied", "exit code 3", 3, ""),
        ({"exit": 0}, "WorkerDied", "exit code 0 before it was done", 0, ""),
        ({"error": "bad rows"}, "DataError", "^bad rows$", None, ""),
        ({}, "InternalError", "which is a bug: KeyError", None, ""),
    ],
)
def test_how_a_worker_ended_is_told(server, spec, kind, message, exit_code, signal):
    job = finish(server, "end", spec)
    assert job.state is JobState.FAILED
    assert job.result is None
    error = job.error
    assert (error.type, error.exit_code, error.signal) == (kind, exit_code, signal)
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(error.message)
    assert "a line before the end" in error.log_tail
    assert "Traceback" not in error.message
    log = (server.folder / job.id / "log.txt").read_text()
    assert ("Traceback" in log) == (kind == "InternalError")
    # The server lives, and goes on.
    assert finish(server, "echo").state is JobState.SUCCEEDED


def test_a_task_that_takes_too_much_memory_fails_alone(server):
    error = finish(server, "hoard").error
    assert error.type == "ResourceExhaustedError" and "out of memory" in error.message


def test_a_log_is_bounded_and_keeps_its_beginning_and_end(server):
    job = finish(server, "noise", {"lines": 60_000})
    log = (server.folder / job.id / "log.txt").read_text()
    assert len(log) < 1_200_000
    assert log.startswith("line 0 ") and "bytes left out" in log
    assert "line 59999 " in log
    assert job.error.log_tail[-1].startswith("line 59999 ")
    assert len(job.error.log_tail) == 20


def test_progress_is_stored_a_few_times_per_second_with_first_and_last_step(server):
    started = time.monotonic()
    job = finish(server, "steps", {"steps": 400, "pause": 0.005})
    seconds = time.monotonic() - started
    events = [event for event in server.events(job.id) if event.progress]
    assert events[0].progress.step == 0
    assert events[-1].progress.step == 400 and events[-1].eta == 0
    assert 3 <= len(events) <= 4 * seconds + 5
    middle = events[len(events) // 2]
    assert 0 < middle.eta < 10
    assert job.progress == events[-1].progress


def test_a_running_job_is_cancelled_soon(server):
    job = server.submit("steps", {"steps": 1000, "pause": 0.05}, labels={})
    watch = server.watch(job.id, timeout=30)
    assert next(event for event in watch if event.progress)
    started = time.monotonic()
    assert server.cancel(job.id).cancel_requested
    assert list(watch)[-1].state is JobState.CANCELLED
    assert time.monotonic() - started < 2
    job = server.get(job.id)
    assert job.state is JobState.CANCELLED and job.error is None and job.result is None
    assert server.cancel(job.id) == job


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
def test_a_worker_that_does_not_listen_is_killed_with_its_children(server, tmp_path):
    job = server.submit("stubborn", {}, labels={})
    watch = server.watch(job.id, timeout=30)
    assert next(event for event in watch if event.progress)
    started = time.monotonic()
    server.cancel(job.id)
    assert list(watch)[-1].state is JobState.CANCELLED
    assert time.monotonic() - started < 2

    pid_file = tmp_path / "pid"
    job = server.submit("family", {"pid": str(pid_file)}, labels={})
    assert eventually(lambda: pid_file.exists() and pid_file.read_text())
    server.cancel(job.id)
    list(server.watch(job.id, timeout=30))
    assert eventually(lambda: is_gone(int(pid_file.read_text())))


def test_a_waiting_job_is_cancelled_at_once_and_never_run(server):
    running = server.submit("steps", {"steps": 20, "pause": 0.02}, labels={})
    waiting = server.submit("echo", {}, labels={})
    assert server.cancel(waiting.id).state is JobState.CANCELLED
    list(server.watch(running.id, timeout=30))
    assert [event.state for event in server.watch(waiting.id)] == ["QUEUED", "CANCELLED"]


def test_another_process_can_cancel(server):
    other = JobService(server.folder, TASKS)
    job = server.submit("steps", {"steps": 1000, "pause": 0.05}, labels={})
    assert eventually(lambda: other.get(job.id).state is JobState.RUNNING)
    started = time.monotonic()
    other.cancel(job.id)
    assert list(other.watch(job.id, timeout=30))[-1].state is JobState.CANCELLED
    assert time.monotonic() - started < 2.5
    other.close()


def test_a_cancelled_job_publishes_nothing_unless_it_was_about_to(server, tmp_path):
    target = tmp_path / "target"
    job = server.submit("publish", {"target": str(target), "slow": 1.5}, labels={})
    watch = server.watch(job.id, timeout=30)
    assert next(event for event in watch if event.progress)
    assert eventually((server.folder / job.id / "result.json").exists)
    server.cancel(job.id)
    list(watch)
    job = server.get(job.id)
    # Whichever came first: never half of it.
    assert target.exists() == (job.state is JobState.SUCCEEDED)
    assert (job.result is not None) == target.exists()


def test_stopping_puts_running_jobs_back_and_starting_goes_on(server):
    first = server.submit("steps", {"steps": 60, "pause": 0.02}, labels={})
    second = server.submit("echo", {}, labels={})
    assert eventually(lambda: server.get(first.id).state is JobState.RUNNING)
    server.stop()
    job = server.get(first.id)
    assert (job.state, job.attempt, job.jobs_ahead) == (JobState.QUEUED, 1, 0)
    server.start()
    list(server.watch(second.id, timeout=30))
    job = server.get(first.id)
    assert (job.state, job.attempt, job.result["attempt"]) == (JobState.SUCCEEDED, 2, 2)
    assert [event.state for event in server.events(first.id) if event.state] == [
        *("QUEUED", "RUNNING", "QUEUED", "RUNNING", "SUCCEEDED")
    ]


def test_a_waiting_job_whose_lock_is_held_is_passed_over_until_it_is_free(service):
    held = service.submit("echo", {}, labels={})
    lock = lock_job(service.folder / held.id)
    assert lock is not None
    service.start()
    assert finish(service, "echo").state is JobState.SUCCEEDED
    assert service.get(held.id).state is JobState.QUEUED
    lock.release()
    list(service.watch(held.id, timeout=30))
    assert service.get(held.id).attempt == 1


def test_a_second_server_is_refused_by_name(server):
    with pytest.raises(ConflictError, match=rf"process {os.getpid()}\).*another workspace"):
        JobService(server.folder, TASKS).start()
    with pytest.raises(FailedPreconditionError):
        server.start()
    server.stop()
    other = JobService(server.folder, TASKS)
    other.start()
    other.stop()


def test_a_damaged_store_is_told_and_nobody_is_left_the_server(service):
    service.folder.mkdir()
    (service.folder / "jobs.sqlite").write_bytes(b"nonsense" * 1000)
    for call in (service.start, service.list, lambda: service.submit("echo", {}, labels={})):
        with pytest.raises(DataError, match=r"jobs\.sqlite is damaged"):
            call()
    (service.folder / "jobs.sqlite").unlink()
    service.start()
    assert finish(service, "echo").state is JobState.SUCCEEDED


def test_a_kind_that_is_not_known_any_more_fails(service):
    job = service.submit("echo", {}, labels={})
    newer = JobService(service.folder, {"other": "ktt_jobs.sample_tasks:echo"})
    newer.start()
    list(newer.watch(job.id, timeout=30))
    error = newer.get(job.id).error
    assert error is not None and error.type == "UnsupportedError"
    newer.stop()


def test_old_jobs_are_pruned_with_their_folders(tmp_path):
    service = JobService(tmp_path / "jobs", TASKS, retention=timedelta(0))
    seen: list[JobEvent] = []
    job = service.run("echo", {}, labels={}, on_event=seen.append)
    assert (service.folder / job.id).is_dir()
    litter = service.folder / "00000000-0000-0000-0000-000000000000"
    litter.mkdir()
    os.utime(litter, (0, 0))
    other = service.run("echo", {}, labels={}, on_event=seen.append)
    assert not (service.folder / job.id).exists() and not litter.exists()
    assert [job.id for job in service.list()[0]] == [other.id]
    with pytest.raises(NotFoundError):
        service.events(job.id)
    service.close()


def test_a_job_is_returned_as_it_is_stored(service):
    spec = {"b": 1, "a": [1.5, None, "ü"]}
    for number in range(3):
        job = service.submit("echo", spec, labels={"dataset": "toy"}, request_id=f"r{number}")
        assert job == service.get(job.id)
        assert job.jobs_ahead == number and job.last_event == 1
        assert [event.sequence for event in service.events(job.id)] == [1]
