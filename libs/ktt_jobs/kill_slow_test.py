"""Servers and workers are killed at every moment; no job is lost, run twice or half done."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ktt_jobs import JobService, JobState
from ktt_jobs.locks import lock_job
from ktt_jobs.sample_server import TASKS, eventually, is_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def service(tmp_path):
    """Return what submits and watches; the server is another process."""
    service = JobService(tmp_path / "jobs", TASKS)
    yield service
    service.close()


@contextlib.contextmanager
def serving(service, workers=1):
    process = subprocess.Popen(
        [sys.executable, "-m", "ktt_jobs.sample_server", str(service.folder), str(workers)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout and process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def end_of(service, job, seconds=60):
    list(service.watch(job.id, timeout=seconds))
    return service.get(job.id)


def children_of(pid):
    children = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children += (thread / "children").read_text().split()
    return [int(child) for child in children]


def running(service, job):
    return eventually(lambda: service.get(job.id).progress is not None)


def test_after_the_server_was_killed_the_job_is_run_again_and_never_twice_at_once(
    service, tmp_path
):
    spec = {"steps": 60, "pause": 0.02, "marks": str(tmp_path)}
    job = service.submit("steps", spec, labels={})
    with serving(service) as server:
        assert running(service, job)
        (mark,) = tmp_path.glob(f"{job.id}.1.*")
        worker = int(mark.suffix[1:])
        server.kill()
        server.wait()
    assert eventually(lambda: is_gone(worker), 5)
    # Seen by anybody, also without a server.
    assert eventually(lambda: service.get(job.id).state is JobState.QUEUED, 5)
    with serving(service):
        ended = end_of(service, job)
    assert (ended.state, ended.attempt, ended.result["attempt"]) == (JobState.SUCCEEDED, 2, 2)
    assert len(list(tmp_path.glob(f"{job.id}.*"))) == 2
    states = [event.state for event in service.events(job.id) if event.state]
    assert states == ["QUEUED", "RUNNING", "QUEUED", "RUNNING", "SUCCEEDED"]
    sequence = [event.sequence for event in service.events(job.id)]
    assert sequence == [*range(1, ended.last_event + 1)]


def test_a_worker_that_says_nothing_dies_with_its_server_too(service):
    job = service.submit("stubborn", {}, labels={})
    with serving(service) as server:
        assert running(service, job)
        (worker,) = children_of(server.pid)
        server.kill()
        server.wait()
        assert eventually(lambda: is_gone(worker), 5)


def test_a_job_that_takes_the_server_with_it_is_given_up(service, tmp_path):
    spec = {"target": str(tmp_path / "target"), "dies": "before", "server": True, "attempts": 99}
    job = service.submit("publish", spec, labels={})
    other = service.submit("echo", {}, labels={})
    for _ in range(3):
        with serving(service) as server:
            server.wait(timeout=30)
    with serving(service):
        ended = end_of(service, job)
        assert end_of(service, other).state is JobState.SUCCEEDED
    assert (ended.state, ended.attempt) == (JobState.FAILED, 3)
    assert ended.error.type == "ServerRestarted" and "3 times" in ended.error.message
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("who", ["worker", "server"])
@pytest.mark.parametrize(
    ("moment", "done"), [("before", False), ("promised", False), ("moved", True), ("after", True)]
)
def test_what_dies_while_a_job_publishes_leaves_it_done_or_not_done(
    service, tmp_path, who, moment, done
):
    target, log = tmp_path / "target", tmp_path / "log"
    spec = {"target": str(target), "log": str(log), "dies": moment, "server": who == "server"}
    job = service.submit("publish", spec, labels={})
    with serving(service) as server:
        if who == "server":
            server.wait(timeout=30)
        else:
            end_of(service, job)
    with serving(service):
        ended = end_of(service, job)
    if done:
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 1)
    elif who == "server":
        assert (ended.state, ended.attempt) == (JobState.SUCCEEDED, 2)
    else:
        assert (ended.state, ended.error.signal) == (JobState.FAILED, "SIGKILL")
        assert not target.exists()
    if ended.state is JobState.SUCCEEDED:
        assert ended.result == {"target": str(target), "attempt": ended.attempt}
        assert target.read_text() == f"attempt {ended.attempt}"
        assert log.read_text() == f"published in attempt {ended.attempt}\n"


def test_a_job_is_not_begun_while_its_old_worker_lives(service):
    job = service.submit("steps", {"steps": 1000, "pause": 0.02}, labels={})
    with serving(service) as server:
        assert running(service, job)
        server.kill()
        server.wait()
    # As a worker that is slow to die would, this process holds the lock.
    lock = lock_job(service.folder / job.id)
    deadline = time.monotonic() + 10
    while lock is None and time.monotonic() < deadline:
        lock = lock_job(service.folder / job.id)
    assert lock is not None
    before = service.get(job.id).attempt
    with serving(service):
        time.sleep(2)
        assert service.get(job.id).attempt == before
        other = service.submit("echo", {}, labels={})
        assert end_of(service, other).state is JobState.SUCCEEDED
        lock.release()
        assert eventually(lambda: service.get(job.id).attempt == before + 1)
        assert service.get(job.id).state is JobState.RUNNING
        service.cancel(job.id)
        assert end_of(service, job).state is JobState.CANCELLED


def test_a_stopped_server_leaves_nothing_running_and_exits_well(service):
    job = service.submit("steps", {"steps": 1000, "pause": 0.02}, labels={})
    with serving(service) as server:
        assert running(service, job)
        started = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
        assert time.monotonic() - started < 5
    assert service.get(job.id).state is JobState.QUEUED
    with serving(service):
        assert eventually(lambda: service.get(job.id).attempt == 2)
        service.cancel(job.id)
        assert end_of(service, job).state is JobState.CANCELLED


def test_an_order_to_stop_that_all_processes_get_fails_no_job(service, tmp_path):
    spec = {"steps": 1000, "pause": 0.02, "marks": str(tmp_path)}
    job = service.submit("steps", spec, labels={})
    with serving(service) as server:
        assert running(service, job)
        (mark,) = tmp_path.glob(f"{job.id}.1.*")
        os.kill(int(mark.suffix[1:]), signal.SIGTERM)
        time.sleep(0.2)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
    assert service.get(job.id).state is JobState.QUEUED


def test_a_cancel_asked_for_before_the_server_died_is_kept(service):
    job = service.submit("stubborn", {}, labels={})
    with serving(service) as server:
        assert running(service, job)
        server.send_signal(signal.SIGSTOP)
        service.cancel(job.id)
        server.kill()
        server.wait()
    with serving(service):
        assert end_of(service, job).state is JobState.CANCELLED


def test_a_second_server_process_is_refused_with_a_line(service):
    service.submit("echo", {}, labels={})
    with serving(service) as server:
        second = subprocess.run(
            [sys.executable, "-m", "ktt_jobs.sample_server", str(service.folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert second.returncode == 3
        assert f"process {server.pid}" in second.stdout
        server.kill()
        server.wait()
    # The lock went with the process.
    with serving(service):
        pass


def test_fifty_requests_at_once_from_ten_processes_are_one_job(service):
    code = (
        "import sys; from concurrent.futures import ThreadPoolExecutor; from pathlib import Path\n"
        "from ktt_jobs import JobService; from ktt_jobs.sample_server import TASKS\n"
        "import ktt_jobs.validation\n"
        "service = JobService(Path(sys.argv[1]), TASKS)\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "with ThreadPoolExecutor(5) as pool:\n"
        "    submit = lambda _: service.submit('echo', {'a': 1}, labels={}, request_id='r').id\n"
        "    print(*set(pool.map(submit, range(5))))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(service.folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(10)
    ]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert len(answers) == 1
    assert sum(service.stats().values()) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_server_killed_again_and_again_loses_nothing_and_publishes_once(service, tmp_path, seed):
    chance = random.Random(seed)
    log = tmp_path / "log"
    jobs = [
        service.submit(
            "publish",
            {"target": str(tmp_path / f"target{number}"), "log": str(log), "slow": 0.05},
            labels={},
        )
        for number in range(12)
    ]
    for _ in range(6):
        with serving(service, workers=3) as server:
            time.sleep(chance.uniform(0, 0.4))
            server.kill()
            server.wait()
    with serving(service, workers=3):
        ended = [end_of(service, job) for job in jobs]
    published = log.read_text().count("published")
    for number, job in enumerate(ended):
        target = tmp_path / f"target{number}"
        assert job.state.ended
        assert target.exists() == (job.state is JobState.SUCCEEDED)
        assert job.state is JobState.SUCCEEDED or job.error.type == "ServerRestarted"
        if target.exists():
            assert target.read_text() == f"attempt {job.result['attempt']}"
        sequence = [event.sequence for event in service.events(job.id)]
        assert sequence == [*range(1, job.last_event + 1)]
    # A worker killed between the move and its line in the log has published all the same.
    assert published <= sum(job.state is JobState.SUCCEEDED for job in ended)
