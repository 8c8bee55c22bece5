"""Jobs and events as rows of the store, and back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row

from ktt_core.documents import parse_object
from ktt_core.errors import DataError, InvalidArgumentError, KttError
from ktt_core.progress import Progress
from ktt_jobs.jobs import Job, JobError, JobEvent, JobState

__all__ = [
    "canonical",
    "digest",
    "event_of",
    "job_of",
    "moment",
    "now",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now() -> int:
    """Return the time in microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def moment(microseconds: int) -> datetime:
    """Return a stored time."""
    return _EPOCH + timedelta(microseconds=microseconds)


def canonical(value: object, what: str) -> str:
    """Return JSON text that is the same for equal values.

    Parameters
    ----------
    value : object
    what : str
        Name of the value in the message, and field of the error.

    Raises
    ------
    InvalidArgumentError
        If it is not JSON: another type, NaN or infinity, or nested too deeply.
    """
    try:
        text = json.dumps(
            value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False
        )
        # Lone surrogates are valid in Python strings only.
        text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgumentError(
            f"the {what} is not a JSON value: {error}", field=what
        ) from error
    return text


def digest(kind: str, spec: str, labels: str) -> str:
    """Return a digest that is equal for equal requests."""
    return hashlib.sha256("\0".join((kind, spec, labels)).encode()).hexdigest()


def job_of(row: Row[Any], ahead: int = 0) -> Job:
    """Return the job of a row of the table "jobs".

    Raises
    ------
    DataError
        If the row holds what no job has.
    """
    with _damage_of(f"the job {row.id}"):
        state = JobState(row.state)
        error = None if row.error is None else _object(row.error)
        return Job(
            id=row.id,
            kind=row.kind,
            spec=_object(row.spec),
            labels=_object(row.labels),
            state=state,
            create_time=moment(row.create_time),
            start_time=_moment_or_none(row.start_time),
            end_time=_moment_or_none(row.end_time),
            progress=_progress(row.progress),
            eta=row.eta,
            error=(
                None
                if error is None
                else JobError(**{**error, "log_tail": tuple(error["log_tail"])})
            ),
            result=None if row.result is None else _object(row.result),
            attempt=_whole(row.attempt),
            last_event=_whole(row.last_event),
            jobs_ahead=ahead,
            request_id=row.request_id or "",
            cancel_requested=row.cancel_requested and not state.ended,
        )


def event_of(row: Row[Any] | Mapping[str, Any]) -> JobEvent:
    """Return the event of a row of the table "events".

    Raises
    ------
    DataError
        If the row holds what no event has.
    """
    values = row if isinstance(row, Mapping) else row._mapping
    with _damage_of(f"the event {values['sequence']} of a job"):
        return JobEvent(
            sequence=_whole(values["sequence"]),
            time=moment(values["time"]),
            state=None if values["state"] is None else JobState(values["state"]),
            progress=_progress(values["progress"]),
            eta=values["eta"],
        )


@contextlib.contextmanager
def _damage_of(what: str) -> Iterator[None]:
    # SQLite takes a value of any type for a column, and has no checksums.
    try:
        yield
    except (KeyError, KttError, OverflowError, TypeError, ValueError) as error:
        raise DataError(f"{what} is damaged in the store of jobs: {error}") from error


def _whole(number: Any) -> int:
    if type(number) is not int:
        raise TypeError(f"{number!r:.40} is not a whole number")
    return number


def _object(text: str) -> dict[str, Any]:
    return parse_object(text, lambda problem: DataError(f"a value is {problem}"))


def _moment_or_none(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else moment(microseconds)


def _progress(text: str | None) -> Progress | None:
    return None if text is None else Progress(**_object(text))
