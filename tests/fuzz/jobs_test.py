"""The store of jobs: what stands in it is told, or the error says that it is damaged."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.damage import (
    Change,
    Edit,
    Nested,
    changed,
    changes,
    edited,
    edits,
    fuzzed,
    json_bytes,
    strange_values,
    survives,
)
from ktt_core.errors import KttError
from ktt_core.progress import Progress
from ktt_jobs import queries
from ktt_jobs.jobs import JobError, JobState
from ktt_jobs.store import JobStore, NewJob

IDS = [f"0b5e6f1c-2f7a-4d7e-9d55-6a1f0c3e8b4{number}" for number in range(3)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("jobs") / "jobs.sqlite"
    store = JobStore(path)
    for job_id in IDS:
        store.create(NewJob(job_id, "training", '{"a":1}', '{"dataset":"toy"}', job_id), 10)
    for job_id in IDS[:2]:
        store.begin(job_id)
        store.add_progress(job_id, Progress("fit", 1, 2, "epochs", {"loss": 1.0}), 5.0)
    store.end(IDS[0], JobState.SUCCEEDED, result={"rows": 1})
    store.end(IDS[1], JobState.FAILED, error=JobError("DataError", "no rows", log_tail=("a",)))
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path


def use(path: Path) -> None:
    """Ask for all that is there, each by itself, and change it."""
    store = JobStore(path)
    try:
        asked: list[Callable[[], object]] = [
            lambda: queries.page(store, [], [], {}, 10, None),
            lambda: queries.page(
                store, ["training"], [JobState.QUEUED], {"dataset": "toy"}, 1, None
            ),
            lambda: queries.stats(store),
            lambda: queries.running(store),
            *(partial(queries.find, store, job_id) for job_id in IDS),
            *(partial(queries.read_events, store, job_id, 0, 10) for job_id in IDS),
            lambda: store.queued(10),
            lambda: store.begin(IDS[2]),
            lambda: store.end(IDS[2], JobState.SUCCEEDED, result={}),
        ]
        for ask in asked:
            survives(ask, KttError)
    finally:
        store.close()


def use_damaged(whole: Path, content: bytes, statement: str = "", *values: object) -> None:
    folder = whole.parent / "used"
    folder.mkdir()
    try:
        path = folder / "jobs.sqlite"
        path.write_bytes(content)
        if statement:
            connection = sqlite3.connect(path)
            connection.execute(statement, values)
            connection.commit()
            connection.close()
        use(path)
    finally:
        shutil.rmtree(folder)


@fuzzed(30)
@given(edits())
@example((Edit("cut", 0.5),))
def test_the_bytes_of_the_store(whole, damage):
    use_damaged(whole, edited(whole.read_bytes(), damage))


COLUMNS = [
    *(f"jobs.{name}" for name in ("kind", "spec", "labels", "state", "request_id", "embedded")),
    *(f"jobs.{name}" for name in ("create_time", "start_time", "end_time", "event_time")),
    *(f"jobs.{name}" for name in ("attempt", "losses", "cancel_requested", "last_event", "runner")),
    *(f"jobs.{name}" for name in ("progress", "eta", "error", "result")),
    *(f"events.{name}" for name in ("time", "state", "progress", "eta", "sequence")),
]
CELLS = st.one_of(
    st.sampled_from(
        [-1, 0, 2**31, 2**62, -(2**63), 1.5, float("inf"), b"\xff", "", "x", "{}", "[]"]
    ),
    strange_values().map(lambda value: json_bytes(value).decode()),
)


@fuzzed(80)
@given(st.sampled_from(COLUMNS), CELLS)
@example("jobs.state", "x")
@example("jobs.create_time", 2**62)
@example("jobs.spec", "[")
@example("jobs.result", "[" * 100_000)
@example("jobs.error", "{}")
@example("jobs.progress", "[]")
@example("events.state", "x")
@example("events.time", -(2**63))
@example("jobs.event_time", b"\xff")
@example("jobs.last_event", 2**63 - 1)
@example("jobs.attempt", "x")
def test_a_cell_of_the_store(whole, column, cell):
    table, _, name = column.partition(".")
    use_damaged(whole, whole.read_bytes(), f"UPDATE OR IGNORE {table} SET {name} = ?", cell)


DEEP = (Change("add", 0, Nested(100_000)),)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("jobs.error", {"type": "a", "message": "b", "exit_code": 1, "log_tail": ["c"]}),
        (
            "jobs.progress",
            {"phase": "fit", "step": 1, "total": 2, "unit": "a", "metrics": {"a": 1.0}},
        ),
        ("events.progress", {"phase": "fit", "step": 1, "metrics": {}}),
    ],
)
@fuzzed(40)
@given(changes())
@example(DEEP)
def test_the_values_of_a_cell(whole, column, value, damage):
    cell = json_bytes(changed(value, damage)).decode()
    table, _, name = column.partition(".")
    use_damaged(whole, whole.read_bytes(), f"UPDATE {table} SET {name} = ?", cell)
