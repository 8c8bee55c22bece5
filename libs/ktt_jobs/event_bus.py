"""Events of jobs in memory, and the watchers that wait for them."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from ktt_jobs.jobs import JobEvent

__all__ = ["EventBus"]

_log = logging.getLogger(__name__)
# Events kept per job, and jobs that are kept after their end.
_TAIL = 256
_JOBS = 64
# Seconds between polls of jobs that other processes may change.
_INTERVAL = 0.5


class EventBus:
    """Serves events of this process' jobs from memory, and wakes the watchers of all jobs.

    While a process runs a job, no other adds events to it, so its memory is complete.

    Parameters
    ----------
    newest : callable
        Returns the number of the newest event of each of some jobs, from the store.
    """

    def __init__(self, newest: Callable[[Sequence[str]], dict[str, int]]) -> None:
        self._newest = newest
        self._lock = threading.Lock()
        self._tails: OrderedDict[str, deque[JobEvent]] = OrderedDict()
        self._running: set[str] = set()
        self._subscribers: dict[str, dict[object, Callable[[], None]]] = {}
        self._poller: threading.Thread | None = None
        self._wake = threading.Event()

    # -- of the process that runs a job ------------------------------------------------------------

    def open(self, job_id: str, events: Sequence[JobEvent]) -> None:
        """Add a job that this process runs from now on, with its newest events."""
        with self._lock:
            self._tails[job_id] = deque(events, maxlen=_TAIL)
            self._running.add(job_id)
        self.notify(job_id)

    def add(self, job_id: str, event: JobEvent) -> None:
        """Add an event, and notify the job's watchers."""
        with self._lock:
            tail = self._tails.get(job_id)
            if tail is not None:
                tail.append(event)
        self.notify(job_id)

    def close(self, job_id: str, *, ended: bool) -> None:
        """Close a job that this process does not run any more.

        Parameters
        ----------
        job_id : str
        ended : bool
            Whether the job has ended, so that its events in memory are complete.
        """
        with self._lock:
            self._running.discard(job_id)
            if not ended:
                self._tails.pop(job_id, None)
            elif job_id in self._tails:
                self._tails.move_to_end(job_id)
            for old in [name for name in self._tails if name not in self._running][:-_JOBS]:
                del self._tails[old]
        self.notify(job_id)

    def forget(self, job_ids: Sequence[str]) -> None:
        """Drop the events of jobs that were deleted."""
        with self._lock:
            for job_id in job_ids:
                self._tails.pop(job_id, None)

    # -- of watchers -------------------------------------------------------------------------------

    def runs(self, job_id: str) -> bool:
        """Return whether this process runs the job."""
        with self._lock:
            return job_id in self._running

    def events(self, job_id: str, after: int, limit: int) -> list[JobEvent] | None:
        """Return a job's events after a number; None if they are only in the store."""
        with self._lock:
            tail = self._tails.get(job_id)
            if not tail or after < tail[0].sequence - 1:
                return None
            start = max(0, after - tail[0].sequence + 1)
            return [tail[index] for index in range(start, min(len(tail), start + limit))]

    def subscribe(self, job_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` when the job may have new events; return a function that unsubscribes."""
        key = object()

        def unsubscribe() -> None:
            with self._lock:
                callbacks = self._subscribers.get(job_id, {})
                callbacks.pop(key, None)
                if not callbacks:
                    self._subscribers.pop(job_id, None)
                if not self._subscribers:
                    self._wake.set()

        with self._lock:
            self._subscribers.setdefault(job_id, {})[key] = callback
            if self._poller is None:
                self._wake.clear()
                self._poller = threading.Thread(target=self._poll, name="job-news", daemon=True)
                self._poller.start()
        return unsubscribe

    def notify(self, job_id: str) -> None:
        """Notify the watchers of a job."""
        with self._lock:
            callbacks = list(self._subscribers.get(job_id, {}).values())
        for callback in callbacks:
            try:
                callback()
            except Exception:
                # A failing watcher must not affect the others or the job.
                _log.exception("a watcher of job %s could not be notified", job_id)

    def notify_all(self) -> None:
        """Call everybody."""
        with self._lock:
            job_ids = list(self._subscribers)
        for job_id in job_ids:
            self.notify(job_id)

    def _poll(self) -> None:
        """Poll for events of other processes while there are watchers."""
        seen: dict[str, int] = {}
        while True:
            self._wake.wait(_INTERVAL)
            with self._lock:
                if not self._subscribers:
                    self._poller = None
                    return
                self._wake.clear()
                foreign = [job_id for job_id in self._subscribers if job_id not in self._running]
            try:
                newest = self._newest(foreign) if foreign else {}
            except Exception:
                _log.exception("new events of jobs could not be read; trying again")
                continue
            for job_id, last in newest.items():
                if seen.get(job_id) != last:
                    self.notify(job_id)
            seen = newest
