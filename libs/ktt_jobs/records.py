"""Read access to the jobs of one service in one workspace."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ktt_jobs.jobs import Job, JobEvent, JobState

if TYPE_CHECKING:
    from ktt_jobs.event_bus import EventBus
    from ktt_jobs.store import JobStore

__all__ = ["JobRecords"]

# Seconds between checks that the processes of running jobs are alive, and the longest wait of a
# watcher between polls.
_ORPHANS = 2.0
_LOOK = 2.0
# Events that a watcher reads at once.
_BATCH = 256

# Within the class, "list" is its method.
_Jobs = list[Job]
_Events = list[JobEvent]


class JobRecords:
    """Reads jobs and their events. Thread-safe.

    The constructor accesses no file, and reading creates none.

    Parameters
    ----------
    folder : Path
        Holds ``jobs.sqlite`` and a folder per job.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._mutex = threading.Lock()
        self._opened: tuple[JobStore, EventBus] | None = None
        self._looked = float("-inf")

    def get(self, job_id: str, kind: str | None = None) -> Job:
        """Return a job.

        Raises
        ------
        InvalidArgumentError
            If the id is not valid.
        NotFoundError
            If no job has that id, or it is of another kind.
        """
        from ktt_jobs.locks import check_job_id
        from ktt_jobs.queries import find

        store, feed = self._open()
        job = find(store, check_job_id(job_id), kind)
        if job.state is JobState.RUNNING and not feed.runs(job_id) and self._recover():
            job = find(store, job_id, kind)
        return job

    def list(
        self,
        *,
        kinds: Sequence[str] = (),
        states: Sequence[JobState] = (),
        labels: Mapping[str, str] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> tuple[_Jobs, str | None]:
        """Return a page of jobs, newest first, and a token for the next page, or None.

        Parameters
        ----------
        kinds, states : sequence
            Empty for all.
        labels : mapping of str to str
            Labels that the jobs have.
        limit : int
            At most 1000; larger values are reduced to that.
        after : str, optional
            Token from the previous page.

        Raises
        ------
        InvalidArgumentError
            If `after` is not a token of a page, or `limit` is less than 1.
        """
        from ktt_jobs.queries import page

        store, feed = self._open()
        jobs, following = page(store, kinds, states, labels or {}, limit, after)
        foreign = [j for j in jobs if j.state is JobState.RUNNING and not feed.runs(j.id)]
        if foreign and self._recover():
            jobs, following = page(store, kinds, states, labels or {}, limit, after)
        return jobs, following

    def active(self, labels: Mapping[str, str]) -> _Jobs:
        """Return the jobs with these labels that have not ended, of every kind, newest first."""
        states = [JobState.QUEUED, JobState.RUNNING]
        found, after = self.list(states=states, labels=labels, limit=1000)
        while after is not None:
            jobs, after = self.list(states=states, labels=labels, limit=1000, after=after)
            found += jobs
        return found

    def events(self, job_id: str, after: int = 0, limit: int = 1000) -> _Events:
        """Return a job's events with a greater number than `after`, in order.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If the id is not valid, or there is no such job.
        """
        from ktt_jobs.locks import check_job_id
        from ktt_jobs.queries import read_events

        store, feed = self._open()
        recent = feed.events(check_job_id(job_id), after, limit)
        return read_events(store, job_id, after, limit) if recent is None else recent

    def watch(
        self, job_id: str, after: int = 0, timeout: float | None = None
    ) -> Iterator[JobEvent]:
        """Yield a job's events as they occur, until it has ended or `timeout` seconds have passed.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If the id is not valid, or there is no such job.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        news = threading.Event()
        unsubscribe = self.subscribe(job_id, news.set)
        # Whether the job may have ended without a notification in this process.
        unsure = True
        try:
            while True:
                news.clear()
                events = self.events(job_id, after, _BATCH)
                for event in events:
                    yield event
                    after = event.sequence
                    if event.state is not None and event.state.ended:
                        return
                if len(events) == _BATCH:
                    continue
                if unsure and not events:
                    job = self.get(job_id)
                    if job.state.ended and job.last_event <= after:
                        return
                wait = _LOOK
                if deadline is not None:
                    wait = min(wait, deadline - time.monotonic())
                    if wait <= 0:
                        return
                unsure = not news.wait(wait)
        finally:
            unsubscribe()

    def subscribe(self, job_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback`, in any thread, when a job may have new events.

        It must return quickly. Earlier events are not notified: read them after subscribing.

        Returns
        -------
        callable
            Ends it.
        """
        return self._open()[1].subscribe(job_id, callback)

    def stats(self) -> dict[str, int]:
        """Return how many jobs are in each state, by the states' names."""
        from ktt_jobs.queries import stats

        return stats(self._open()[0])

    def files(self, job_id: str) -> Path:
        """Return the folder with the files of a job's task (`TaskContext.folder`).

        Raises
        ------
        InvalidArgumentError
            If the id is not valid.
        """
        from ktt_jobs.locks import check_job_id

        return self.folder / check_job_id(job_id) / "files"

    def close(self) -> None:
        """Close the store's file. The next call opens it again."""
        with self._mutex:
            if self._opened is not None:
                self._opened[0].close()

    def _open(self) -> tuple[JobStore, EventBus]:
        with self._mutex:
            if self._opened is None:
                from ktt_jobs.event_bus import EventBus
                from ktt_jobs.queries import newest_events
                from ktt_jobs.store import JobStore

                store = JobStore(self.folder / "jobs.sqlite")
                self._opened = store, EventBus(lambda job_ids: newest_events(store, job_ids))
            return self._opened

    def _recover(self) -> bool:
        """Recover jobs whose process is gone; return False if that was done just before."""
        from ktt_jobs.queries import find
        from ktt_jobs.recovery import recover

        now = time.monotonic()
        if now - self._looked < _ORPHANS:
            return False
        self._looked = now
        store, feed = self._open()
        for job_id in recover(store, feed, self.folder).ended:
            self._ended(find(store, job_id))
        return True

    def _ended(self, job: Job) -> None:
        """Handle the end of a job; overridden by services that run jobs."""
