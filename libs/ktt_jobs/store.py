"""The store of jobs: every change of a job and its event in one transaction."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update

from ktt_core.errors import AlreadyExistsError, QueueFullError
from ktt_core.progress import Progress
from ktt_jobs import schema, transitions
from ktt_jobs.jobs import Job, JobError, JobEvent, JobState
from ktt_jobs.rows import digest, now

__all__ = ["JobStore", "NewJob", "new_job", "refuse_other"]

_jobs, _labels = schema.jobs, schema.labels

# Made once: to put a statement together takes longer than to run it.
_REQUEST = select(_jobs.c.id, _jobs.c.digest).where(
    _jobs.c.kind == bindparam("kind"), _jobs.c.request_id == bindparam("request_id")
)
_WAITING = select(func.count()).select_from(_jobs).where(_jobs.c.state == JobState.QUEUED)
_ADD = insert(_jobs).returning(_jobs.c.number)
_LABEL = insert(_labels)


@dataclass(frozen=True)
class NewJob:
    """Values of a new job; spec and labels as canonical JSON text."""

    id: str
    kind: str
    spec: str
    labels: str
    request_id: str = ""


class JobStore:
    """Stores jobs and their events in a SQLite file. Safe for threads and processes.

    The constructor accesses no file.

    Parameters
    ----------
    path : Path
        The file; created by the first change.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine: Engine | None = None
        self._opening = threading.Lock()
        # Threads queue up here: the file's own lock is polled, and unfair.
        self._writer = threading.Lock()

    @property
    def exists(self) -> bool:
        """Whether there may be any jobs."""
        with schema.translated(self.path):
            return self._engine is not None or self.path.exists()

    @property
    def engine(self) -> Engine:
        """The opened file; raises as `ktt_jobs.schema.open_engine`."""
        with self._opening:
            if self._engine is None:
                self._engine = schema.open_engine(self.path)
            return self._engine

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._opening:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection with a consistent snapshot of the store."""
        engine = self.engine
        with schema.translated(self.path), engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """Yield a connection whose changes are one durable transaction."""
        engine = self.engine
        with self._writer, schema.translated(self.path), engine.connect() as plain:
            connection = plain.execution_options(**{schema.WRITING: True})
            with connection.begin():
                yield connection

    # -- a job's beginning -------------------------------------------------------------------------

    def create(
        self, new: NewJob, queue_limit: int, *, begin: bool = False
    ) -> tuple[str, list[JobEvent], int]:
        """Add a job, unless its request was received before.

        Parameters
        ----------
        new : NewJob
        queue_limit : int
            Jobs that may wait.
        begin : bool
            Whether this process runs it now, without queueing.

        Returns
        -------
        job_id : str
        events : list of JobEvent
            Events of the new job; empty if the request was received before.
        ahead : int
            Number of jobs before the new one in the queue.

        Raises
        ------
        AlreadyExistsError
            If a different request with this id was received before.
        QueueFullError
            If the queue is full.
        """
        content = digest(new.kind, new.spec, new.labels)
        with self.writing() as connection:
            if new.request_id:
                asked = {"kind": new.kind, "request_id": new.request_id}
                known = connection.execute(_REQUEST, asked).one_or_none()
                if known is not None:
                    if known.digest != content:
                        refuse_other(new.request_id, known.id)
                    return known.id, [], 0
            ahead = 0 if begin else _check_room(connection, queue_limit)
            at = now()
            values = {
                "id": new.id,
                "kind": new.kind,
                "spec": new.spec,
                "labels": new.labels,
                "state": JobState.QUEUED,
                "request_id": new.request_id or None,
                "digest": content,
                "embedded": begin,
                "create_time": at,
                "event_time": at,
                "last_event": 1,
            }
            number = connection.execute(_ADD, values).scalar_one()
            rows = [
                {"name": name, "value": value, "job": number}
                for name, value in json.loads(new.labels).items()
            ]
            if rows:
                connection.execute(_LABEL, rows)
            happened = [transitions.first(connection, number, at)]
            if begin:
                row = transitions.find(connection, new.id)
                happened.append(transitions.begin(connection, row))
            return new.id, happened, ahead

    def queued(self, limit: int) -> list[str]:
        """Return the ids of the queued jobs in the order of the queue."""
        with self.reading() as connection:
            return list(
                connection.scalars(
                    select(_jobs.c.id)
                    .where(_jobs.c.state == JobState.QUEUED)
                    .order_by(_jobs.c.number)
                    .limit(limit)
                )
            )

    def begin(self, job_id: str) -> JobEvent | None:
        """Make a queued job RUNNING in this process; None if it is not queued any more."""
        with self.writing() as connection:
            row = transitions.find(connection, job_id)
            return transitions.begin(connection, row) if row.state == JobState.QUEUED else None

    # -- what happens to it ------------------------------------------------------------------------

    def add_progress(self, job_id: str, progress: Progress, eta: float | None) -> JobEvent | None:
        """Store a running job's progress; None if it does not run any more."""
        text = json.dumps(asdict(progress))
        with self.writing() as connection:
            row = transitions.find(connection, job_id)
            if row.state != JobState.RUNNING:
                return None
            return transitions.record_change(connection, row, progress=text, eta=eta)

    def end(
        self,
        job_id: str,
        state: JobState,
        error: JobError | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> JobEvent | None:
        """End a running job; None if it does not run any more."""
        with self.writing() as connection:
            row = transitions.find(connection, job_id)
            if row.state != JobState.RUNNING:
                return None
            return transitions.end(
                connection,
                row,
                state,
                error=None if error is None else json.dumps(asdict(error)),
                result=None if result is None else json.dumps(result),
            )

    def requeue(self, job_id: str, *, crashed: bool) -> JobEvent | None:
        """Put a running job back to its place in the queue; None if it does not run any more.

        If it was cancelled in the meantime, it is CANCELLED instead.

        Parameters
        ----------
        job_id : str
        crashed : bool
            Whether the server died instead of being stopped.
        """
        with self.writing() as connection:
            row = transitions.find(connection, job_id)
            if row.state != JobState.RUNNING:
                return None
            if row.cancel_requested:
                return transitions.end(connection, row, JobState.CANCELLED)
            changes = {"crash_count": row.crash_count + crashed, "runner": None}
            return transitions.record_change(connection, row, state=JobState.QUEUED, **changes)

    def cancel(self, job_id: str) -> JobEvent | None:
        """Cancel a queued job, and return the event; request the end of a running one."""
        with self.writing() as connection:
            row = transitions.find(connection, job_id)
            if row.state == JobState.QUEUED:
                return transitions.end(connection, row, JobState.CANCELLED)
            if row.state == JobState.RUNNING and not row.cancel_requested:
                connection.execute(
                    update(_jobs).where(_jobs.c.number == row.number).values(cancel_requested=True)
                )
            return None

    def prune(self, before: int, limit: int = 100) -> list[str]:
        """Remove jobs that ended before a time (in microseconds), with their events.

        Returns
        -------
        list of str
            The ids of at most `limit` jobs that were deleted.
        """
        with self.reading() as connection:
            old = select(_jobs.c.number, _jobs.c.id).where(_jobs.c.end_time < before).limit(limit)
            rows = connection.execute(old).all()
        if rows:
            with self.writing() as connection:
                connection.execute(
                    delete(_jobs).where(_jobs.c.number.in_([row.number for row in rows]))
                )
        return [row.id for row in rows]

    def known(self, job_ids: Sequence[str]) -> set[str]:
        """Return which of these ids belong to jobs."""
        found: set[str] = set()
        with self.reading() as connection:
            for start in range(0, len(job_ids), 500):
                some = job_ids[start : start + 500]
                found.update(connection.scalars(select(_jobs.c.id).where(_jobs.c.id.in_(some))))
        return found


def new_job(new: NewJob, event: JobEvent, ahead: int) -> Job:
    """Return a new job at its first event, without reading it from the store."""
    return Job(
        id=new.id,
        kind=new.kind,
        spec=json.loads(new.spec),
        labels=json.loads(new.labels),
        state=JobState.QUEUED,
        create_time=event.time,
        last_event=event.sequence,
        jobs_ahead=ahead,
        request_id=new.request_id,
    )


def refuse_other(request_id: str, job_id: str) -> NoReturn:
    """Raise AlreadyExistsError: a different request created a job with this request id."""
    raise AlreadyExistsError(
        f"the request {request_id!r} was made before and asked for something else (job {job_id}); "
        "give this one another request_id"
    )


def _check_room(connection: Connection, queue_limit: int) -> int:
    """Return the number of queued jobs if there is room for one more."""
    waiting: int = connection.execute(_WAITING).scalar_one()
    if waiting >= queue_limit:
        raise QueueFullError(
            f"{waiting} jobs are queued, which is the maximum; try again when some are done, "
            "or cancel some"
        )
    return waiting
