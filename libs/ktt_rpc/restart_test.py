"""Watching a real job across restarts of its server."""

import threading
import time
from dataclasses import replace

import pytest

from ktt.trainer.v1 import training_pb2 as training
from ktt_core.progress import Progress
from ktt_jobs import JobService, JobState
from ktt_rpc import client_calls
from ktt_rpc.conftest import SETTINGS
from ktt_rpc.job_messages import event_from_proto


def count(spec: dict, context) -> dict:
    """Be a task: count, and take a while over it."""
    for step in range(spec["steps"]):
        context.progress(Progress(f"phase {step % 3}", step, spec["steps"]))
        time.sleep(0.02)
    return {"steps": spec["steps"]}


@pytest.fixture
def jobs(tmp_path):
    def make():
        return JobService(tmp_path / "jobs", {"training": "ktt_rpc.restart_test:count"})

    return make


def test_a_job_is_watched_to_its_end_across_restarts_without_a_gap(start_server, connect, jobs):
    service = jobs()
    server = start_server(jobs=service)
    port = int(server.address.rpartition(":")[2])
    job = service.submit("training", {"steps": 100}, labels={})
    stub = connect(server.address)
    events = []

    def look():
        for response in client_calls.watch_reconnecting(
            lambda after: stub.WatchTrainingJob(
                training.WatchTrainingJobRequest(id=job.id, after_event=after)
            )
        ):
            events.append(event_from_proto(response.event))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    for _ in range(2):
        _wait_for_more(events, 5)
        server.stop()
        service = jobs()
        server = start_server(replace(SETTINGS, port=port), service)
    watcher.join(30)
    ended = service.get(job.id)
    assert ended.state is JobState.SUCCEEDED
    assert ended.result == {"steps": 100}
    assert [event.sequence for event in events] == list(range(1, ended.last_event + 1))
    assert events == service.events(job.id, limit=100_000)
    assert [event.state for event in events if event.state] == [
        *[JobState.QUEUED, JobState.RUNNING] * 3,
        JobState.SUCCEEDED,
    ]


def _wait_for_more(events: list, number: int, seconds: float = 20.0) -> None:
    enough, ends = len(events) + number, time.monotonic() + seconds
    while len(events) < enough:
        assert time.monotonic() < ends
        time.sleep(0.01)
