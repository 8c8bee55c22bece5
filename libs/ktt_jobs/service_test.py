"""Jobs are run, watched, cancelled and listed; what ends a worker is told."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from ktt_core.errors import (
    AlreadyExistsError,
    ConflictError,
    DataError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    QueueFullError,
)
from ktt_jobs import Job, JobEvent, JobService, JobState
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


def test_construction_and_reading_touch_no_file(service):
    assert service.list() == ([], None)
    assert service.active({"dataset": "toy"}) == []
    assert service.stats()["RUNNING"] == 0
    assert not service.folder.exists()


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


def test_who_comes_late_misses_nothing(server):
    job = finish(server, "steps", {"steps": 3})
    everything = server.events(job.id)
    assert [event.sequence for event in everything] == [*range(1, job.last_event + 1)]
    for after in range(job.last_event + 1):
        assert list(server.watch(job.id, after)) == everything[after:]
        assert server.events(job.id, after, limit=2) == everything[after : after + 2]
    other = JobService(server.folder, TASKS)
    assert list(other.watch(job.id)) == everything
    other.close()


def test_many_watchers_see_the_same_and_one_that_stops_disturbs_none(server):
    job = server.submit("steps", {"steps": 40, "pause": 0.02}, labels={})

    def watch(number):
        seen = []
        for event in server.watch(job.id, timeout=30):
            seen.append(event)
            if number % 10 == 0:
                break
        return seen

    with ThreadPoolExecutor(60) as pool:
        seen = list(pool.map(watch, range(60)))
    everything = server.events(job.id)
    assert all(events == everything for number, events in enumerate(seen) if number % 10)


def test_a_callback_that_raises_harms_nobody(server):
    job = server.submit("steps", {"steps": 5}, labels={})

    def bad():
        raise RuntimeError("gone")

    told = threading.Event()
    ends = [server.subscribe(job.id, bad), server.subscribe(job.id, told.set)]
    list(server.watch(job.id, timeout=30))
    assert told.is_set()
    assert server.get(job.id).state is JobState.SUCCEEDED
    for end in ends:
        end()
        end()


def test_watching_ends_when_its_time_is_over(service):
    job = service.submit("echo", {}, labels={})
    started = time.monotonic()
    assert len(list(service.watch(job.id, timeout=0.3))) == 1
    assert 0.2 < time.monotonic() - started < 2


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


def test_a_request_is_one_job(server):
    with ThreadPoolExecutor(50) as pool:
        jobs = list(
            pool.map(
                lambda _: server.submit("echo", {"a": 1}, labels={}, request_id="r"), range(50)
            )
        )
    assert len({job.id for job in jobs}) == 1
    assert server.submit("echo", {"a": 1}, labels={}, request_id="r").id == jobs[0].id
    with pytest.raises(AlreadyExistsError):
        server.submit("echo", {"a": 2}, labels={}, request_id="r")
    assert sum(server.stats().values()) == 1


def test_a_full_queue_is_told(tmp_path):
    service = JobService(tmp_path / "jobs", TASKS, queue_limit=2)
    for _ in range(2):
        service.submit("echo", {}, labels={})
    with pytest.raises(QueueFullError):
        service.submit("echo", {}, labels={})
    service.close()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "nothing"}, "kind"),
        ({"spec": {"x": float("nan")}}, "spec"),
        ({"spec": {"x": object()}}, "spec"),
        ({"spec": {"x": "\ud800"}}, "spec"),
        ({"spec": {"x": "x" * (1 << 20)}}, "spec"),
        ({"labels": {"x": 1}}, "labels"),
        ({"labels": {"x": "x" * 300}}, "labels"),
        ({"labels": {str(n): "" for n in range(17)}}, "labels"),
        ({"request_id": "x" * 200}, "request_id"),
        ({"request_id": "a\nb"}, "request_id"),
    ],
)
def test_what_cannot_be_a_job_is_refused_by_field(service, values, field):
    whole = {"kind": "echo", "spec": {}, "labels": {}, **values}
    with pytest.raises(InvalidArgumentError) as caught:
        service.submit(whole.pop("kind"), whole.pop("spec"), **whole)
    assert caught.value.field == field
    assert not service.folder.exists()


@pytest.mark.parametrize(
    "job_id", ["", "..", "../../etc/passwd", "x" * 5000, "a\0b", "%s", "A" * 36]
)
def test_an_id_of_another_form_never_becomes_a_path(service, job_id):
    service.submit("echo", {}, labels={})
    for call in (service.get, service.events, service.cancel, service.files):
        with pytest.raises(InvalidArgumentError) as caught:
            call(job_id)
        assert caught.value.field == "job_id"


def test_an_unknown_job_is_told(service):
    unknown = "00000000-0000-0000-0000-000000000000"
    for call in (service.get, service.events, service.cancel, lambda i: next(service.watch(i))):
        with pytest.raises(NotFoundError, match=unknown):
            call(unknown)
    job = service.submit("echo", {}, labels={})
    with pytest.raises(NotFoundError, match="no steps job"):
        service.get(job.id, kind="steps")


def test_active_jobs_of_a_label(service):
    first = service.submit("echo", {}, labels={"dataset": "toy"})
    second = service.submit("steps", {}, labels={"dataset": "toy"})
    service.submit("echo", {}, labels={"dataset": "other"})
    assert [job.id for job in service.active({"dataset": "toy"})] == [second.id, first.id]
    service.cancel(first.id)
    assert [job.id for job in service.active({"dataset": "toy"})] == [second.id]


def test_ends_are_told_to_who_counts_them(server):
    ended: list[Job] = []
    server.on_end.append(lambda job: 1 / 0)
    server.on_end.append(ended.append)
    jobs = [finish(server, "echo"), finish(server, "end", {"code": 1})]
    waiting = [server.submit("steps", {"steps": 20}, labels={}) for _ in range(2)]
    server.cancel(waiting[1].id)
    list(server.watch(waiting[0].id, timeout=30))
    assert eventually(lambda: len(ended) == 4)
    assert {job.id for job in ended} == {job.id for job in (*jobs, *waiting)}
    assert all(job.state.ended for job in ended)


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
