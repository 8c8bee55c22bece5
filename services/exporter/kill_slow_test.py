"""A real server that is killed, stopped, or told to end a job."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

from exporter.conftest import Start, begun, create, ended, get, leftovers, wait_for
from ktt.exporter.v1 import exports_pb2 as pb
from ktt.jobs.v1 import jobs_pb2


def test_a_server_killed_in_the_middle_finishes_the_export_once_it_is_back(
    start: Start, workspace: Path, tmp_path: Path
) -> None:
    server = start()
    with server.connect() as calls:
        job_id = create(calls, "slow")
        first = wait_for(lambda: begun(tmp_path))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
    # Its worker dies with it.
    (process,) = first
    wait_for(lambda: not Path("/proc", process.removeprefix("begun-")).exists(), 10)
    assert not (workspace / "outputs/slow_shop").exists()
    with start().connect() as calls:
        wait_for(lambda: len(begun(tmp_path)) == 2)
        assert leftovers(workspace), "the export that runs"
        (tmp_path / "signals/go").touch()
        job = ended(calls, job_id)
        assert job.status.state == jobs_pb2.JOB_STATE_SUCCEEDED
        assert job.status.attempt == 2
        events = [
            response.event
            for response in calls.WatchExportJob(pb.WatchExportJobRequest(id=job_id), timeout=10)
        ]
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        download = list(calls.DownloadArtifact(pb.DownloadArtifactRequest(export_job_id=job_id)))
    assert len(begun(tmp_path)) == 2
    archive = b"".join(part.chunk for part in download)
    assert hashlib.sha256(archive).hexdigest() == download[0].start.sha256
    assert not leftovers(workspace)


def test_a_worker_that_is_killed_fails_its_job_alone(
    start: Start, workspace: Path, tmp_path: Path
) -> None:
    with start().connect() as calls:
        job_id = create(calls, "slow")
        (process,) = wait_for(lambda: begun(tmp_path))
        os.kill(int(process.removeprefix("begun-")), signal.SIGKILL)
        job = ended(calls, job_id)
        assert job.status.state == jobs_pb2.JOB_STATE_FAILED
        assert (job.status.error.type, job.status.error.signal) == ("WorkerDied", "SIGKILL")
        assert not (workspace / "outputs/slow_shop").exists()
        wait_for(lambda: not leftovers(workspace), 10)
        other = ended(calls, create(calls, "tfidf_hsgd"))
        assert other.status.state == jobs_pb2.JOB_STATE_SUCCEEDED


def test_a_server_that_is_told_to_stop_goes_on_with_its_exports_later(
    start: Start, workspace: Path, tmp_path: Path
) -> None:
    server = start("--grace", "2")
    with server.connect() as calls:
        job_id = create(calls, "slow")
        wait_for(lambda: begun(tmp_path))
        assert server.stop() == 0
    assert not leftovers(workspace)
    (tmp_path / "signals/go").touch()
    with start().connect() as calls:
        assert ended(calls, job_id).status.state == jobs_pb2.JOB_STATE_SUCCEEDED


def test_a_cancelled_export_ends_within_two_seconds_and_publishes_nothing(
    start: Start, workspace: Path, tmp_path: Path
) -> None:
    with start().connect() as calls:
        running, waiting = create(calls, "slow"), create(calls, "tfidf_hsgd")
        wait_for(lambda: begun(tmp_path))
        assert get(calls, waiting).status.state == jobs_pb2.JOB_STATE_QUEUED
        before = time.monotonic()
        for job_id in (waiting, running):
            calls.CancelExportJob(pb.CancelExportJobRequest(id=job_id))
        jobs = [ended(calls, job_id) for job_id in (running, waiting)]
        assert time.monotonic() - before < 2.0
        assert {job.status.state for job in jobs} == {jobs_pb2.JOB_STATE_CANCELLED}
        (tmp_path / "signals/go").touch()
        time.sleep(0.2)
    assert {path.name for path in (workspace / "outputs").glob("*")} <= {".lock"}
