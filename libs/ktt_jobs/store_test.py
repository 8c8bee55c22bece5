"""The store keeps every change with its event, in order, and tells what it cannot do."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from ktt_core.errors import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    QueueFullError,
)
from ktt_core.progress import Progress
from ktt_jobs import queries, transitions
from ktt_jobs.jobs import JobError, JobState
from ktt_jobs.locks import new_job_id
from ktt_jobs.rows import now
from ktt_jobs.store import JobStore, NewJob

QUEUED, RUNNING = JobState.QUEUED, JobState.RUNNING


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path / "jobs" / "jobs.sqlite")
    yield store
    store.close()


def new(kind="training", spec='{"a":1}', labels="{}", request_id=""):
    return NewJob(new_job_id(), kind, spec, labels, request_id)


def add(store, **values):
    return store.create(new(**values), 1000)[0]


def test_reading_makes_no_file(store):
    assert queries.page(store, [], [], {}, 10, None) == ([], None)
    assert queries.stats(store)["QUEUED"] == 0
    with pytest.raises(NotFoundError):
        queries.find(store, new_job_id())
    assert not store.path.parent.exists()


def test_a_job_is_as_it_was_created_and_survives_the_process(store):
    job_id = add(store, labels='{"dataset":"toy"}', request_id="r")
    again = JobStore(store.path)
    job = queries.find(again, job_id)
    assert (job.kind, job.spec, job.labels, job.request_id) == (
        "training",
        {"a": 1},
        {"dataset": "toy"},
        "r",
    )
    assert (job.state, job.attempt, job.last_event) == (QUEUED, 0, 1)
    assert job.start_time is None and job.end_time is None
    again.close()


def test_a_life_is_told_in_events_without_gaps(store):
    job_id = add(store)
    store.begin(job_id)
    store.add_progress(job_id, Progress("fit", 1, 2, "epochs", {"loss": 0.5}), 3.5)
    store.requeue(job_id, crashed=True)
    store.begin(job_id)
    store.end(job_id, JobState.FAILED, JobError("DataError", "bad", 3, "", ("x", "y")))
    events = queries.read_events(store, job_id, 0, 100)
    assert [event.sequence for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.state for event in events] == [QUEUED, RUNNING, None, QUEUED, RUNNING, "FAILED"]
    assert events[2].progress == Progress("fit", 1, 2, "epochs", {"loss": 0.5})
    assert events[2].eta == 3.5
    assert [event.time for event in events] == sorted(event.time for event in events)
    job = queries.find(store, job_id)
    assert job.error == JobError("DataError", "bad", 3, "", ("x", "y"))
    assert (job.attempt, job.last_event, job.result) == (2, 6, None)
    assert job.start_time and job.end_time
    assert job.create_time <= job.start_time <= job.end_time


def test_nothing_happens_to_a_job_that_has_ended(store):
    job_id = add(store)
    store.begin(job_id)
    store.end(job_id, JobState.SUCCEEDED, result={"f1": 1.0})
    before = queries.find(store, job_id)
    assert store.begin(job_id) is None
    assert store.add_progress(job_id, Progress("fit"), None) is None
    assert store.end(job_id, JobState.FAILED) is None
    assert store.requeue(job_id, crashed=False) is None
    assert store.cancel(job_id) is None
    assert queries.find(store, job_id) == before


def test_times_never_go_backwards_though_the_clock_does(store, monkeypatch):
    job_id = add(store)
    monkeypatch.setattr(transitions, "now", lambda: 1)
    store.begin(job_id)
    store.end(job_id, JobState.SUCCEEDED, result={})
    job = queries.find(store, job_id)
    assert job.start_time and job.end_time
    assert job.create_time <= job.start_time <= job.end_time
    times = [event.time for event in queries.read_events(store, job_id, 0, 10)]
    assert times == sorted(times)


def test_the_queue_is_first_come_first_served_and_tells_who_is_ahead(store):
    ids = [add(store) for _ in range(5)]
    assert store.queued(10) == ids
    assert [queries.find(store, job_id).jobs_ahead for job_id in ids] == [0, 1, 2, 3, 4]
    store.begin(ids[0])
    store.begin(ids[1])
    store.requeue(ids[0], crashed=False)
    assert store.queued(10) == [ids[0], *ids[2:]]
    jobs, _ = queries.page(store, [], [], {}, 10, None)
    assert {job.id: job.jobs_ahead for job in jobs} == dict(zip(ids, [0, 0, 1, 2, 3], strict=True))


def test_the_queue_is_bounded_and_running_jobs_are_not_in_it(store):
    first = store.create(new(), 2)[0]
    store.create(new(), 2)
    with pytest.raises(QueueFullError, match="2 jobs are queued"):
        store.create(new(), 2)
    store.begin(first)
    store.create(new(), 2)
    assert queries.stats(store) == {
        "QUEUED": 2,
        "RUNNING": 1,
        "SUCCEEDED": 0,
        "FAILED": 0,
        "CANCELLED": 0,
    }


def test_a_request_made_twice_is_one_job(store):
    first = add(store, request_id="r")
    assert store.create(new(request_id="r"), 0) == (first, [], 0)
    assert add(store, kind="export", request_id="r") != first
    for other in ({"spec": "{}"}, {"labels": '{"x":"y"}'}):
        with pytest.raises(AlreadyExistsError, match="another request_id"):
            add(store, request_id="r", **other)
    assert queries.stats(store)["QUEUED"] == 2


def test_fifty_threads_with_one_request_make_one_job(store):
    with ThreadPoolExecutor(50) as pool:
        ids = set(pool.map(lambda _: add(store, request_id="r"), range(50)))
    assert len(ids) == 1
    assert queries.stats(store)["QUEUED"] == 1


def test_processes_that_make_the_store_and_one_request_at_once_make_one_job(store):
    code = (
        "import sys; from pathlib import Path; from ktt_jobs.store import JobStore, NewJob; "
        "from ktt_jobs.locks import new_job_id; sys.stdin.readline(); "
        "store = JobStore(Path(sys.argv[1])); "
        "print(*{store.create(NewJob(new_job_id(), 'k', '{}', '{}', 'r'), 9)[0] for _ in range(5)})"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(store.path)],
            env={"PYTHONPATH": ":".join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    answers = [process.communicate("go\n", timeout=60)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    assert len(set(answers)) == 1 and len(answers[0].split()) == 1


def test_pages_hold_every_job_once_newest_first_while_new_ones_come(store):
    ids = [add(store, labels=f'{{"n":"{n % 2}"}}') for n in range(7)]
    seen, after = [], None
    while True:
        jobs, after = queries.page(store, ["training"], [QUEUED], {}, 3, after)
        seen += [job.id for job in jobs]
        add(store)
        if after is None:
            break
    assert seen == ids[::-1]
    even, _ = queries.page(store, [], [], {"n": "0"}, 100, None)
    assert [job.id for job in even] == ids[::-2]
    assert queries.page(store, ["export"], [], {}, 3, None) == ([], None)
    assert queries.page(store, [], [], {"n": "0", "m": "0"}, 3, None) == ([], None)


@pytest.mark.parametrize("after", ["", "x", "-1", "1; drop table jobs", "9" * 40, "٣"])
def test_a_page_begins_only_where_one_ended(store, after):
    with pytest.raises(InvalidArgumentError) as caught:
        queries.page(store, [], [], {}, 3, after)
    assert caught.value.field == "page_token"


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_is_asked(store):
    waiting, running = add(store), add(store)
    store.begin(running)
    assert store.cancel(waiting).state == "CANCELLED"
    assert store.cancel(running) is None
    assert queries.find(store, waiting).state == "CANCELLED"
    assert queries.find(store, running).cancel_requested
    assert queries.is_cancelled(store, running)
    with pytest.raises(NotFoundError):
        store.cancel(new_job_id())


def test_a_job_whose_end_was_asked_for_is_not_queued_again(store):
    job_id = add(store)
    store.begin(job_id)
    store.cancel(job_id)
    assert store.requeue(job_id, crashed=False).state == "CANCELLED"
    assert not queries.find(store, job_id).cancel_requested


def test_only_old_ended_jobs_are_pruned_with_all_that_belongs_to_them(store):
    old, young, running = (add(store, labels='{"d":"x"}') for _ in range(3))
    for job_id in (old, young, running):
        store.begin(job_id)
    store.end(old, JobState.SUCCEEDED, result={})
    middle = now()
    while now() <= middle:
        pass
    store.end(young, JobState.SUCCEEDED, result={})
    assert store.prune(middle + 1) == [old]
    with pytest.raises(NotFoundError):
        queries.read_events(store, old, 0, 10)
    assert queries.find(store, running).state is RUNNING
    with sqlite3.connect(store.path) as connection:
        orphans = "SELECT count(*) FROM {} WHERE job NOT IN (SELECT number FROM jobs)"
        assert connection.execute(orphans.format("events")).fetchone() == (0,)
        assert connection.execute(orphans.format("labels")).fetchone() == (0,)
