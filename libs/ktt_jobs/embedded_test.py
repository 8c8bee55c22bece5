"""A command runs a job itself: seen by all, beside a server, and ended with the command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ktt_core.errors import AlreadyExistsError
from ktt_jobs import Job, JobEvent, JobService, JobState
from ktt_jobs.sample_server import TASKS, eventually, is_gone

COMMAND = """
import sys
from pathlib import Path
from ktt_jobs import JobService
from ktt_jobs.sample_server import TASKS, eventually, is_gone

def watch(event):
    print(event.progress.step if event.progress else event.state, flush=True)

try:
    service = JobService(Path(sys.argv[1]), TASKS)
    service.run("steps", {"steps": 10000, "pause": 0.05}, labels={}, on_event=watch)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.fixture
def service(tmp_path):
    service = JobService(tmp_path / "jobs", TASKS)
    yield service
    service.stop(grace=0)
    service.close()


@pytest.fixture
def command(service):
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(service.folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for expected in ("QUEUED", "RUNNING", "0"):
            assert process.stdout.readline() == f"{expected}\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def worker_of(process):
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    return int(children[0])


def test_it_is_told_from_its_first_event_to_its_end(service):
    events: list[JobEvent] = []
    job = service.run("steps", {"steps": 3}, labels={"model": "m"}, on_event=events.append)
    assert job.state is JobState.SUCCEEDED and job.result == {"steps": 3, "attempt": 1}
    assert events == service.events(job.id)
    assert [event.sequence for event in events] == [*range(1, job.last_event + 1)]
    assert service.list(labels={"model": "m"})[0] == [job]


def test_a_failed_one_is_returned_not_raised(service):
    job = service.run("end", {"error": "bad"}, labels={}, on_event=lambda event: None)
    assert job.state is JobState.FAILED and job.error.message == "bad"


@pytest.mark.parametrize("at", [1, 2, 3])
def test_what_its_callback_raises_goes_on_and_the_job_is_cancelled(service, at):
    def fail(event):
        if event.sequence == at:
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        service.run("steps", {"steps": 1000}, labels={}, on_event=fail)
    (job,), _ = service.list()
    assert job.state is JobState.CANCELLED
    assert not (service.folder / job.id / "files").exists()


def test_a_request_made_before_is_not_run_again(service):
    first = service.run("echo", {}, labels={}, on_event=lambda event: None, request_id="r")
    events: list[JobEvent] = []
    assert service.run("echo", {}, labels={}, on_event=events.append, request_id="r") == first
    assert events == service.events(first.id)
    with pytest.raises(AlreadyExistsError):
        service.run("echo", {"x": 1}, labels={}, on_event=events.append, request_id="r")
    assert [path.name for path in service.folder.iterdir() if path.is_dir()] == [first.id]


def test_it_runs_beside_a_server(service):
    server = JobService(service.folder, TASKS)
    server.start()
    try:
        served = server.submit("steps", {"steps": 1000, "pause": 0.02}, labels={})
        here = service.run("steps", {"steps": 5}, labels={}, on_event=lambda event: None)
        assert here.state is JobState.SUCCEEDED
        assert service.get(served.id).state is JobState.RUNNING
    finally:
        server.stop()
    assert service.get(served.id).state is JobState.QUEUED


def test_another_thread_can_cancel_it(service):
    jobs: list[Job] = []

    def follow(event):
        if event.progress and not jobs:
            jobs.append(service.list()[0][0])
            threading.Thread(target=service.cancel, args=[jobs[0].id]).start()

    started = time.monotonic()
    job = service.run("steps", {"steps": 10000}, labels={}, on_event=follow)
    assert job.state is JobState.CANCELLED
    assert time.monotonic() - started < 4


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_ends_both_processes_in_order(service, command):
    worker = worker_of(command)
    os.killpg(command.pid, signal.SIGINT)
    out, err = command.communicate(timeout=30)
    assert out.splitlines()[-1] == "interrupted"
    assert err == ""
    assert is_gone(worker)
    assert service.list()[0][0].state is JobState.CANCELLED


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_does_not_survive_a_killed_command_and_the_job_has_failed(service, command):
    worker = worker_of(command)
    assert service.list()[0][0].state is JobState.RUNNING
    command.kill()
    command.wait()
    assert eventually(lambda: is_gone(worker))
    assert eventually(lambda: service.list()[0][0].state is JobState.FAILED)
    job = service.list()[0][0]
    assert job.error.type == "RunnerGone" and str(command.pid) in job.error.message
    assert list(service.watch(job.id))[-1].state is JobState.FAILED


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_leaves_the_jobs_of_living_commands_alone(service, command):
    service.start()
    time.sleep(1)
    assert service.list()[0][0].state is JobState.RUNNING
    service.stop()
    assert not is_gone(worker_of(command))
    job = service.list()[0][0]
    service.cancel(job.id)
    command.wait(timeout=5)
    assert service.get(job.id).state is JobState.CANCELLED


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_worker_fails_the_job_and_the_command_lives(service, command):
    os.kill(worker_of(command), signal.SIGKILL)
    assert command.wait(timeout=30) == 0
    assert service.list()[0][0].error.signal == "SIGKILL"


def test_a_process_that_cannot_even_start_is_an_error(service, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    job = service.run("echo", {}, labels={}, on_event=lambda event: None)
    assert job.error.exit_code == 1
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    job = service.run("echo", {}, labels={}, on_event=lambda event: None)
    assert "cannot be started" in job.error.message
