"""Jobs that nobody runs are brought on, each by itself."""

from __future__ import annotations

import shutil

import pytest

from ktt_jobs import JobState, queries
from ktt_jobs.event_bus import EventBus
from ktt_jobs.locks import lock_job, new_job_id
from ktt_jobs.publishing import prepare
from ktt_jobs.recovery import recover
from ktt_jobs.store import JobStore, NewJob


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path / "jobs.sqlite")
    yield store
    store.close()


def begun(store, *, embedded=False):
    job_id, _, _ = store.create(NewJob(new_job_id(), "echo", "{}", "{}"), 99, begin=embedded)
    if not embedded:
        store.begin(job_id)
    return job_id


def recovered(store, tmp_path):
    return recover(store, EventBus(lambda job_ids: {}), tmp_path)


def state(store, job_id):
    return queries.find(store, job_id).state


def test_nothing_to_do_makes_no_file(store, tmp_path):
    assert recovered(store, tmp_path).held == 0
    assert list(tmp_path.iterdir()) == []


def test_each_job_by_what_it_left(store, tmp_path):
    lost, done, commands, held, unwanted = (
        begun(store),
        begun(store),
        begun(store, embedded=True),
        begun(store),
        begun(store),
    )
    prepare(tmp_path / done, {"f1": 1}, [])
    store.cancel(unwanted)
    lock = lock_job(tmp_path / held)
    assert lock is not None
    found = recovered(store, tmp_path)
    lock.release()
    assert found.held == 1 and set(found.ended) == {done, commands, unwanted}
    assert state(store, lost) is JobState.QUEUED
    assert state(store, done) is JobState.SUCCEEDED
    assert queries.find(store, done).result == {"f1": 1}
    assert state(store, commands) is JobState.FAILED
    assert state(store, unwanted) is JobState.CANCELLED
    assert state(store, held) is JobState.RUNNING


def test_a_job_that_cannot_be_looked_at_keeps_none_from_it(store, tmp_path):
    strange, lost = begun(store), begun(store)
    (tmp_path / strange).write_text("a file where a folder should be")
    found = recovered(store, tmp_path)
    assert found.held == 1
    assert state(store, lost) is JobState.QUEUED
    assert state(store, strange) is JobState.RUNNING
    (tmp_path / strange).unlink()
    assert recovered(store, tmp_path).held == 0
    assert state(store, strange) is JobState.QUEUED


def test_a_job_without_its_folder_is_run_again(store, tmp_path):
    job_id = begun(store)
    shutil.rmtree(tmp_path / job_id, ignore_errors=True)
    recovered(store, tmp_path)
    assert state(store, job_id) is JobState.QUEUED


def test_three_crashes_are_enough(store, tmp_path):
    job_id = begun(store)
    for attempt in (1, 2):
        recovered(store, tmp_path)
        assert state(store, job_id) is JobState.QUEUED, attempt
        store.begin(job_id)
        store.requeue(job_id, crashed=False)  # a stop is no crash
        store.begin(job_id)
    assert recovered(store, tmp_path).ended == [job_id]
    error = queries.find(store, job_id).error
    assert error is not None and error.type == "ServerRestarted"
