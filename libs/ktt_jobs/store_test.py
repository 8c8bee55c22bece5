"""The store keeps every change with its event, in order, and tells what it cannot do."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import event

from ktt_core.errors import (
    AlreadyExistsError,
    DataError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    QueueFullError,
    ResourceExhaustedError,
    UnavailableError,
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
    store.requeue(job_id, lost=True)
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
    assert store.requeue(job_id, lost=False) is None
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
    store.requeue(ids[0], lost=False)
    assert store.queued(10) == [ids[0], *ids[2:]]
    jobs, _ = queries.page(store, [], [], {}, 10, None)
    assert {job.id: job.jobs_ahead for job in jobs} == dict(zip(ids, [0, 0, 1, 2, 3], strict=True))


def test_the_queue_is_bounded_and_running_jobs_are_not_in_it(store):
    first = store.create(new(), 2)[0]
    store.create(new(), 2)
    with pytest.raises(QueueFullError, match="2 jobs are waiting"):
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
    assert store.create(new(request_id="r"), 0) == (first, [])
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
    assert store.requeue(job_id, lost=False).state == "CANCELLED"
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
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="cannot be used"):
        add(JobStore(tmp_path / "file" / "jobs.sqlite"))


_numbers = count()


class Lives(RuleBasedStateMachine):
    """Whatever is done to jobs, each one's events tell its life from its first moment on."""

    jobs = Bundle("jobs")
    folder: Path

    def __init__(self):
        super().__init__()
        self.store = JobStore(self.folder / str(next(_numbers)) / "jobs.sqlite")
        self.states: dict[str, JobState] = {}
        self.lengths: dict[str, int] = {}
        self.gone: set[str] = set()
        self.unwanted: set[str] = set()

    def teardown(self):
        self.store.close()

    def _expect(self, job, event, state):
        if event is not None:
            self.states[job] = state
            self.lengths[job] += 1
            assert event.sequence == self.lengths[job]

    def _is_gone(self, job):
        if job in self.gone:
            with pytest.raises(NotFoundError):
                self.store.begin(job)
        return job in self.gone

    @rule(target=jobs, begin=st.booleans())
    def create(self, begin):
        job, events = self.store.create(new(), 1000, begin=begin)
        self.states[job] = RUNNING if begin else QUEUED
        self.lengths[job] = 1 + begin
        assert [event.sequence for event in events] == [*range(1, 2 + begin)]
        return job

    @rule(job=jobs)
    def begin(self, job):
        if self._is_gone(job):
            return
        event = self.store.begin(job)
        assert (event is not None) == (self.states[job] is QUEUED)
        self._expect(job, event, RUNNING)

    @rule(job=jobs)
    def get_on(self, job):
        if self._is_gone(job):
            return
        event = self.store.add_progress(job, Progress("fit"), None)
        assert (event is not None) == (self.states[job] is RUNNING)
        self._expect(job, event, RUNNING)

    @rule(job=jobs, lost=st.booleans())
    def requeue(self, job, lost):
        if self._is_gone(job):
            return
        event = self.store.requeue(job, lost=lost)
        assert (event is not None) == (self.states[job] is RUNNING)
        self._expect(job, event, JobState.CANCELLED if job in self.unwanted else QUEUED)

    @rule(job=jobs, state=st.sampled_from([s for s in JobState if s.ended]))
    def end(self, job, state):
        if self._is_gone(job):
            return
        event = self.store.end(job, state)
        assert (event is not None) == (self.states[job] is RUNNING)
        self._expect(job, event, state)

    @rule(job=jobs)
    def cancel(self, job):
        if self._is_gone(job):
            return
        event = self.store.cancel(job)
        assert (event is not None) == (self.states[job] is QUEUED)
        if self.states[job] is RUNNING:
            self.unwanted.add(job)
        self._expect(job, event, JobState.CANCELLED)

    @rule()
    def prune(self):
        ended = {name for name, state in self.states.items() if state.ended} - self.gone
        assert set(self.store.prune(1 << 62, limit=1000)) == ended
        self.gone |= ended

    @rule()
    def open_again(self):
        self.store.close()

    @invariant()
    def the_store_says_the_same(self):
        stored = {job.id: job for job in queries.page(self.store, [], [], {}, 1000, None)[0]}
        assert set(stored) == set(self.states) - self.gone
        for name in stored:
            state = self.states[name]
            job = stored[name]
            events = queries.read_events(self.store, name, 0, 1000)
            assert (job.state, job.last_event) == (state, self.lengths[name])
            assert [event.sequence for event in events] == [*range(1, self.lengths[name] + 1)]
            assert [event.state for event in events if event.state][-1] is state


def test_any_sequence_of_changes_keeps_lives_and_events_together(tmp_path):
    Lives.folder = tmp_path
    run_state_machine_as_test(
        Lives, settings=settings(max_examples=15, stateful_step_count=20, deadline=None)
    )
