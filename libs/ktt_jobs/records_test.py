"""Jobs are found, watched from any event on, and only made of what can be one."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ktt_core.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    QueueFullError,
)
from ktt_jobs import Job, JobService, JobState
from ktt_jobs.sample_server import TASKS, eventually


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
        assert caught.value.field == ""  # the request in which it stands has a name for it


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
