"""Read-only queries of a store of jobs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from ktt_core.errors import InvalidArgumentError, NotFoundError
from ktt_jobs import schema
from ktt_jobs.jobs import Job, JobEvent, JobState
from ktt_jobs.rows import event_of, job_of
from ktt_jobs.store import JobStore

__all__ = [
    "RunningJob",
    "find",
    "find_request",
    "is_cancelled",
    "newest_events",
    "page",
    "read_events",
    "running",
    "stats",
]

_jobs, _events, _labels = schema.jobs, schema.events, schema.labels
_MAX_PAGE = 1000

# Built once: building a statement takes longer than executing it.
_JOB = select(_jobs).where(_jobs.c.id == bindparam("job_id"))
_AHEAD = select(func.count()).where(
    _jobs.c.state == JobState.QUEUED, _jobs.c.number < bindparam("number")
)
_NUMBER = select(_jobs.c.number).where(_jobs.c.id == bindparam("job_id"))
_EVENTS = (
    select(_events)
    .where(_events.c.job == bindparam("number"), _events.c.sequence > bindparam("after"))
    .order_by(_events.c.sequence)
    .limit(bindparam("limit"))
)


@dataclass(frozen=True)
class RunningJob:
    """Columns of a job in state RUNNING that recovery needs."""

    id: str
    embedded: bool
    runner: int | None
    crash_count: int
    attempt: int
    cancel_requested: bool


def find(store: JobStore, job_id: str, kind: str | None = None) -> Job:
    """Return a job.

    Raises
    ------
    NotFoundError
        If no job has that id and kind.
    """
    row = None
    if store.exists:
        with store.reading() as connection:
            row = connection.execute(_JOB, {"job_id": job_id}).one_or_none()
            if row is not None and kind in (None, row.kind):
                return job_of(row, _ahead(connection, row))
    what = "job" if kind is None else f"{kind} job"
    raise NotFoundError(f"there is no {what} {job_id}; `ktt jobs list` shows those there are")


def find_request(store: JobStore, kind: str, request_id: str) -> tuple[Job, str] | None:
    """Return the job that a request created, and the request's digest; None if there is none."""
    if not store.exists:
        return None
    query = select(_jobs).where(_jobs.c.kind == kind, _jobs.c.request_id == request_id)
    with store.reading() as connection:
        row = connection.execute(query).one_or_none()
        return None if row is None else (job_of(row, _ahead(connection, row)), row.digest)


def page(
    store: JobStore,
    kinds: Sequence[str],
    states: Sequence[JobState],
    labels: Mapping[str, str],
    limit: int,
    after: str | None,
) -> tuple[list[Job], str | None]:
    """Return a page of jobs, newest first, and a token for the next page."""
    if limit < 1:
        raise InvalidArgumentError(f"a page holds at least 1 job, not {limit}", field="page_size")
    if after is not None and not (after.isdecimal() and after.isascii() and len(after) < 19):
        raise InvalidArgumentError("not a token of a page", field="page_token")
    if not store.exists:
        return [], None
    limit = min(limit, _MAX_PAGE)
    query = select(_jobs).order_by(_jobs.c.number.desc()).limit(limit + 1)
    if after is not None:
        query = query.where(_jobs.c.number < int(after))
    with store.reading() as connection:
        rows = connection.execute(_narrowed(query, kinds, states, labels)).all()
        ranks = _ranks(connection, rows)
    jobs = [job_of(row, ranks.get(row.number, 0)) for row in rows[:limit]]
    return jobs, str(rows[limit - 1].number) if len(rows) > limit else None


def _narrowed(
    query: Select[Any],
    kinds: Sequence[str],
    states: Sequence[JobState],
    labels: Mapping[str, str],
) -> Select[Any]:
    if kinds:
        query = query.where(_jobs.c.kind.in_(list(kinds)))
    if states:
        query = query.where(_jobs.c.state.in_(list(states)))
    for name, value in labels.items():
        label = _labels.alias()
        query = query.join(label, label.c.job == _jobs.c.number).where(
            label.c.name == name, label.c.value == value
        )
    return query


def _ahead(connection: Connection, row: Row[Any]) -> int:
    if row.state != JobState.QUEUED:
        return 0
    return connection.execute(_AHEAD, {"number": row.number}).scalar_one()


def _ranks(connection: Connection, rows: Sequence[Row[Any]]) -> dict[int, int]:
    """Return the number of jobs before each queued one, in one query."""
    waiting = [row.number for row in rows if row.state == JobState.QUEUED]
    if not waiting:
        return {}
    queue = list(
        connection.scalars(
            select(_jobs.c.number)
            .where(_jobs.c.state == JobState.QUEUED, _jobs.c.number <= max(waiting))
            .order_by(_jobs.c.number)
        )
    )
    return {number: bisect_left(queue, number) for number in waiting}


def read_events(store: JobStore, job_id: str, after: int, limit: int) -> list[JobEvent]:
    """Return a job's events after a number, in order.

    Raises
    ------
    NotFoundError
        If there is no such job.
    """
    if not store.exists:
        raise NotFoundError(f"there is no job {job_id}")
    with store.reading() as connection:
        number = connection.scalar(_NUMBER, {"job_id": job_id})
        if number is None:
            raise NotFoundError(f"there is no job {job_id}")
        wanted = {"number": number, "after": after, "limit": limit}
        rows = connection.execute(_EVENTS, wanted).all()
    return [event_of(row) for row in rows]


def newest_events(store: JobStore, job_ids: Sequence[str]) -> dict[str, int]:
    """Return the number of each job's newest event."""
    found: dict[str, int] = {}
    for start in range(0, len(job_ids) if store.exists else 0, 500):
        query = select(_jobs.c.id, _jobs.c.last_event).where(
            _jobs.c.id.in_(job_ids[start : start + 500])
        )
        with store.reading() as connection:
            found.update({row.id: row.last_event for row in connection.execute(query)})
    return found


def is_cancelled(store: JobStore, job_id: str) -> bool:
    """Return whether a job was cancelled or does not exist any more."""
    query = select(_jobs.c.cancel_requested).where(_jobs.c.id == job_id)
    with store.reading() as connection:
        return connection.scalar(query) is not False


def running(store: JobStore) -> list[RunningJob]:
    """Return the jobs in state RUNNING, oldest first."""
    if not store.exists:
        return []
    columns = [
        _jobs.c[name].label(name)
        for name in ("id", "embedded", "runner", "crash_count", "attempt", "cancel_requested")
    ]
    with store.reading() as connection:
        rows = connection.execute(
            select(*columns).where(_jobs.c.state == JobState.RUNNING).order_by(_jobs.c.number)
        ).all()
    return [RunningJob(**row._mapping) for row in rows]


def stats(store: JobStore) -> dict[str, int]:
    """Return how many jobs are in each state."""
    counts = {state.value: 0 for state in JobState}
    if store.exists:
        query = select(_jobs.c.state, func.count()).group_by(_jobs.c.state)
        with store.reading() as connection:
            for state, count in connection.execute(query):
                counts[state] = count
    return counts
