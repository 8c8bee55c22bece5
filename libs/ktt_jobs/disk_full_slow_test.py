"""On a full disk jobs fail, nothing half-written is seen, and the store works on."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from ktt_core.errors import ResourceExhaustedError
from ktt_jobs import JobService, JobState
from ktt_jobs.sample_server import TASKS

_SIZE = 4 << 20


@pytest.fixture
def disk(tmp_path):
    """Return a folder on a disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk takes more rights")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def server(disk):
    service = JobService(disk / "jobs", TASKS)
    service.start()
    yield service
    service.stop(grace=0)
    service.close()


def end_of(service, job):
    list(service.watch(job.id, timeout=60))
    return service.get(job.id)


def fill(path: Path) -> None:
    """Leave no room."""
    with path.open("wb", buffering=0) as stream:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    stream.write(b"x" * size)
            except OSError:
                continue


def test_a_task_that_fills_the_disk_fails_and_nothing_of_it_is_left(server, disk):
    target = disk / "target"
    job = server.submit("fill", {"bytes": 2 * _SIZE, "target": str(target)}, labels={})
    ended = end_of(server, job)
    assert ended.state is JobState.FAILED
    assert ended.error.type == "ResourceExhaustedError"
    assert "No space left" in ended.error.message
    assert not target.exists()
    # And there is room again.
    assert end_of(server, server.submit("echo", {}, labels={})).state is JobState.SUCCEEDED
    # What a job keeps for its attempts goes once its end is known, before the next job begins.
    assert {path.name for path in (server.folder / job.id).iterdir()} <= {"lock", "log.txt"}


def test_a_full_disk_refuses_new_jobs_and_shows_old_ones(server, disk):
    old = end_of(server, server.submit("echo", {}, labels={}))
    fill(disk / "ballast")
    big = {"x": "y" * 500_000}
    with pytest.raises(ResourceExhaustedError, match="no room"):
        for _ in range(20):
            server.submit("echo", big, labels={})
    assert server.get(old.id) == old
    (disk / "ballast").unlink()
    assert end_of(server, server.submit("echo", {}, labels={})).state is JobState.SUCCEEDED


def test_a_job_that_ends_while_the_disk_is_full_is_known_to_have_as_soon_as_there_is_room(
    server, disk
):
    job = server.submit("steps", {"steps": 40, "pause": 0.05}, labels={})
    for event in server.watch(job.id, timeout=30):
        if event.progress:
            break
    ballast = disk / "ballast"
    fill(ballast)
    time.sleep(4)
    # Its result could not be written, or its end could not be stored.
    before = server.get(job.id).state
    assert before in (JobState.RUNNING, JobState.FAILED)
    ballast.unlink()
    ended = end_of(server, job)
    assert ended.state is JobState.FAILED
    assert ended.error.type == "ResourceExhaustedError"
    sequence = [event.sequence for event in server.events(job.id)]
    assert sequence == [*range(1, ended.last_event + 1)]
    assert end_of(server, server.submit("echo", {}, labels={})).state is JobState.SUCCEEDED
