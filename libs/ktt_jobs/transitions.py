"""Changes of jobs, each with its event, within a transaction."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, insert, select, update

from ktt_core.errors import DataError, NotFoundError
from ktt_jobs import schema
from ktt_jobs.jobs import JobEvent, JobState
from ktt_jobs.rows import event_of, now

__all__ = ["begin", "end", "find", "first", "record_change"]

_jobs, _events = schema.jobs, schema.events

# Built once: building a statement takes longer than executing it.
_FIND: Select[Any] = select(
    _jobs.c.number,
    _jobs.c.state,
    _jobs.c.last_event,
    _jobs.c.event_time,
    _jobs.c.attempt,
    _jobs.c.crash_count.label("crash_count"),
    _jobs.c.cancel_requested,
).where(_jobs.c.id == bindparam("job_id"))
_TELL = insert(_events)
_CHANGE = update(_jobs).where(_jobs.c.number == bindparam("job_number"))


def find(connection: Connection, job_id: str) -> Row[Any]:
    """Return the columns of a job that a change needs.

    Raises
    ------
    NotFoundError
        If no job has that id.
    DataError
        If its numbers are none.
    """
    row = connection.execute(_FIND, {"job_id": job_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no job {job_id}")
    # SQLite takes a value of any type for a column. What is counted up must stay below 2**63.
    for number in (row.last_event, row.event_time, row.attempt, row.crash_count):
        if type(number) is not int or not 0 <= number < 2**62:
            raise DataError(f"the job {job_id} is damaged in the store of jobs: {number!r:.40}")
    return row


def begin(connection: Connection, row: Row[Any]) -> JobEvent:
    """Make a job RUNNING in this process."""
    return record_change(
        connection,
        row,
        state=JobState.RUNNING,
        start_time=max(now(), row.event_time),
        attempt=row.attempt + 1,
        runner=os.getpid(),
        progress=None,
        eta=None,
    )


def end(connection: Connection, row: Row[Any], state: JobState, **changes: Any) -> JobEvent:
    """End a job."""
    at = max(now(), row.event_time)
    return record_change(
        connection, row, state=state, end_time=at, eta=None, runner=None, **changes
    )


def record_change(
    connection: Connection, row: Row[Any], state: JobState | None = None, **changes: Any
) -> JobEvent:
    """Change a job and write its event with the next number."""
    told = {
        "sequence": row.last_event + 1,
        # A job's events must stay in order even if the clock is set back.
        "time": max(now(), row.event_time),
        "state": state,
        "progress": None if state else changes["progress"],
        "eta": None if state else changes["eta"],
    }
    connection.execute(_TELL, {"job": row.number, **told})
    values = {**changes, "last_event": told["sequence"], "event_time": told["time"]}
    if state is not None:
        values["state"] = state
    connection.execute(_CHANGE, {**values, "job_number": row.number})
    return event_of(told)


def first(connection: Connection, number: int, time: int) -> JobEvent:
    """Write the first event of a new job, whose row exists already."""
    told = {
        "sequence": 1,
        "time": time,
        "state": JobState.QUEUED,
        "progress": None,
        "eta": None,
    }
    connection.execute(_TELL, {"job": number, **told})
    return event_of(told)
