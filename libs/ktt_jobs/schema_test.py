"""The file of a store is opened by whoever may, and says what is wrong with it."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import event

from ktt_core.errors import (
    DataError,
    FailedPreconditionError,
    ResourceExhaustedError,
    UnavailableError,
)
from ktt_jobs import queries
from ktt_jobs.jobs import JobState
from ktt_jobs.locks import new_job_id
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


def test_any_folder_can_hold_it(tmp_path):
    for name in ("a b", "ü?mode=ro#x", "file:%20", "'\"\\"):
        store = JobStore(tmp_path / name / "jobs.sqlite")
        assert queries.find(store, add(store)).state is QUEUED
        assert store.path.is_file()
        store.close()


def test_it_writes_ahead_and_waits_for_the_disk(store):
    add(store)
    with store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_questions_are_answered_from_indexes(store):
    add(store)
    plans = [
        "SELECT * FROM jobs WHERE id = 'x'",
        "SELECT id FROM jobs WHERE state = 'QUEUED' ORDER BY number LIMIT 16",
        "SELECT count(*) FROM jobs WHERE state = 'QUEUED' AND number < 7",
        "SELECT * FROM jobs WHERE kind = 'k' AND number < 7 ORDER BY number DESC LIMIT 9",
        "SELECT * FROM events WHERE job = 7 AND sequence > 9 ORDER BY sequence LIMIT 9",
        "SELECT id FROM jobs WHERE end_time < 7 LIMIT 9",
        "SELECT id FROM jobs WHERE kind = 'k' AND request_id = 'r'",
    ]
    with store.reading() as connection:
        for plan in plans:
            steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {plan}").all()
            told = " ".join(step[3] for step in steps)
            assert "SEARCH" in told and "SCAN" not in told and "B-TREE" not in told, (plan, told)


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "jobs.sqlite"
    path.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(DataError, match="is damaged"):
        add(JobStore(path))
    assert path.read_bytes().startswith(b"no database")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(DataError, match="another program"):
        add(JobStore(other))


def test_a_store_counts_crashes_in_the_column_it_always_had(store):
    job_id = add(store)
    store.begin(job_id)
    store.requeue(job_id, crashed=True)
    store.begin(job_id)
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("SELECT losses FROM jobs").fetchall() == [(1,)]
        connection.execute("UPDATE jobs SET losses = 2")
    assert [job.crash_count for job in queries.running(store)] == [2]


def test_a_newer_store_is_refused(store):
    add(store)
    store.close()
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version=2")
    with pytest.raises(FailedPreconditionError, match="version 2"):
        queries.stats(store)


def test_a_store_damaged_in_its_middle_says_so(store):
    for _ in range(200):
        add(store, spec='{"long":"' + "x" * 500 + '"}')
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.close()
    data = bytearray(store.path.read_bytes())
    data[8192:-4096] = b"\xff" * (len(data) - 4096 - 8192)
    store.path.write_bytes(data)
    with pytest.raises(DataError, match="move it"):
        for _ in range(9):
            queries.page(store, [], [], {}, 1000, None)
            add(store)


def test_a_full_disk_is_told_and_changes_nothing(store):
    job_id = add(store)

    def limit(connection, record):
        connection.execute("PRAGMA max_page_count=1")  # counts as what it has already

    event.listen(store.engine, "connect", limit)
    store.engine.dispose()
    big = '{"long":"' + "x" * 100_000 + '"}'
    with pytest.raises(ResourceExhaustedError, match="no room"):
        add(store, spec=big)
    assert [job.id for job in queries.page(store, [], [], {}, 9, None)[0]] == [job_id]
    event.remove(store.engine, "connect", limit)
    store.engine.dispose()
    assert queries.find(store, add(store, spec=big)).jobs_ahead == 1


def test_a_folder_that_cannot_be_is_told(tmp_path):
    with pytest.raises(UnavailableError, match="cannot be used"):
        queries.stats(JobStore(tmp_path / ("x" * 300) / "jobs.sqlite"))
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="cannot be used"):
        add(JobStore(tmp_path / "file" / "jobs.sqlite"))
