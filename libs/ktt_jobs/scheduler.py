"""The threads of a server, which run queued jobs and recover or remove others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from ktt_core.errors import KttError
from ktt_jobs.event_bus import EventBus
from ktt_jobs.execution import Execution
from ktt_jobs.jobs import Job, RunPolicy
from ktt_jobs.locks import Lock, lock_job
from ktt_jobs.queries import find
from ktt_jobs.recovery import prune, recover
from ktt_jobs.store import JobStore

__all__ = ["Scheduler"]

_log = logging.getLogger(__name__)
# Seconds between polls of the queue without a notification, of jobs that a dying process still
# holds, of jobs of ended commands, and of old jobs.
_LOOK = 1.0
_HELD = 0.5
_ORPHANS = 30.0
_PRUNE = 3600.0
# Queued jobs that are tried at once: a job is skipped while its last worker is still ending.
_CANDIDATES = 16


class Scheduler:
    """Runs queued jobs until it is stopped.

    Parameters
    ----------
    store : JobStore
    feed : EventBus
    folder : Path
        Holds the jobs' folders.
    tasks : mapping of str to str
    workers : int
        Number of concurrent jobs.
    retention : timedelta
    policy : RunPolicy
    on_end : callable
        Called with every ended job.
    """

    def __init__(
        self,
        store: JobStore,
        feed: EventBus,
        folder: Path,
        tasks: Mapping[str, str],
        workers: int,
        retention: timedelta,
        policy: RunPolicy,
        on_end: Callable[[Job], None],
    ) -> None:
        self._store, self._feed, self._folder, self._tasks = store, feed, folder, tasks
        self._retention, self._policy, self._on_end = retention, policy, on_end
        self._stopping = threading.Event()
        self._grown = threading.Condition()
        # Threads take jobs one at a time, so that jobs are started in order.
        self._taking = threading.Lock()
        self._lock = threading.Lock()
        self._executions: dict[str, Execution] = {}
        self._held = 0
        self._threads = [
            # A worker dies with the thread that started it, so the thread that waits for it starts
            # it.
            threading.Thread(target=self._serve, name=f"jobs-{number}", daemon=True)
            for number in range(workers)
        ]
        self._threads.append(threading.Thread(target=self._keep, name="jobs-keeper", daemon=True))

    def start(self) -> None:
        """Recover jobs of a previous server, then start with the queue."""
        self._recover()
        for thread in self._threads:
            thread.start()

    def stop(self, grace: float) -> None:
        """Stop and requeue the running jobs; return when their workers have ended."""
        with self._lock:
            self._stopping.set()
            executions = list(self._executions.values())
        for execution in executions:
            execution.stop("shutdown", grace)
        with self._grown:
            self._grown.notify_all()
        for thread in self._threads:
            thread.join()

    def wake(self) -> None:
        """Notify that a job was queued."""
        with self._grown:
            self._grown.notify()

    def cancel(self, job_id: str) -> None:
        """Stop a job if this process runs it."""
        with self._lock:
            execution = self._executions.get(job_id)
        if execution is not None:
            execution.stop("cancel")

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                execution = self._take()
                if execution is not None:
                    self._run(execution)
                    continue
            except KttError as error:
                _log.error("the queue of jobs cannot be read; trying again: %s", error)
            except Exception:
                _log.exception("an unexpected error in the queue of jobs; trying again")
            with self._grown:
                if not self._stopping.is_set():
                    self._grown.wait(_LOOK)

    def _take(self) -> Execution | None:
        """Start the first job of the queue that can be started."""
        if not self._store.exists:
            return None
        with self._taking:
            for job_id in self._store.queued(_CANDIDATES):
                lock = lock_job(self._folder / job_id)
                if lock is None:
                    continue
                try:
                    execution = self._begin(job_id, lock)
                except BaseException:
                    # If it was started already, recovery detects that no process runs it.
                    self._feed.close(job_id, ended=False)
                    lock.release()
                    raise
                if execution is not None:
                    return execution
                lock.release()
        return None

    def _begin(self, job_id: str, lock: Lock) -> Execution | None:
        event = self._store.begin(job_id)
        if event is None:
            return None
        self._feed.open(job_id, [event])
        job = find(self._store, job_id)
        task = self._tasks.get(job.kind)
        return Execution(
            self._store, self._feed, self._folder / job_id, job, task, lock, self._policy
        )

    def _run(self, execution: Execution) -> None:
        job_id = execution.job.id
        with self._lock:
            self._executions[job_id] = execution
            if self._stopping.is_set():
                execution.stop("shutdown", 0)
        try:
            state = execution.run()
        finally:
            with self._lock:
                del self._executions[job_id]
        if state.ended:
            self._on_end(find(self._store, job_id))

    def _keep(self) -> None:
        orphans = pruned = -_PRUNE
        while not self._stopping.wait(_HELD):
            now = time.monotonic()
            try:
                if now - orphans >= (_HELD if self._held else _ORPHANS):
                    orphans = now
                    self._recover()
                if now - pruned >= _PRUNE:
                    pruned = now
                    prune(self._store, self._feed, self._folder, self._retention)
            except KttError as error:
                _log.error("old jobs cannot be recovered or removed; trying again: %s", error)
            except Exception:
                _log.exception("an unexpected error in the recovery or removal of old jobs")

    def _recover(self) -> None:
        found = recover(self._store, self._feed, self._folder)
        with self._lock:
            # Jobs that run here are held by this process.
            self._held = max(0, found.held - len(self._executions))
        for job_id in found.ended:
            self._on_end(find(self._store, job_id))
        self.wake()
