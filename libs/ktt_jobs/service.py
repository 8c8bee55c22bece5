"""The jobs of one service in one workspace."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktt_core.errors import FailedPreconditionError, NotFoundError
from ktt_jobs.jobs import Job, JobEvent, RunPolicy
from ktt_jobs.records import JobRecords

if TYPE_CHECKING:
    from ktt_jobs.locks import Lock
    from ktt_jobs.scheduler import Scheduler

__all__ = ["JobService"]

_log = logging.getLogger(__name__)


class JobService(JobRecords):
    """Stores jobs, runs them, and reports their events. Thread-safe.

    The constructor is cheap and accesses no file. In addition to the errors below, every method
    raises DataError if the store is damaged, FailedPreconditionError if a newer version wrote it,
    ResourceExhaustedError if the disk is full, and UnavailableError if it cannot be read or written
    for another reason.

    Parameters
    ----------
    folder : Path
        Holds ``jobs.sqlite``, ``server.lock`` and a folder per job; made when first needed.
    tasks : mapping of str to str
        The kinds of jobs: ``{"training": "package.module:function"}``; see `TaskContext`.
    workers : int
        Number of jobs that a server runs at once.
    queue_limit : int
        Maximum number of queued jobs.
    retention : timedelta
        Time that ended jobs are kept.
    policy : RunPolicy
        Settings for running the jobs.

    Attributes
    ----------
    on_end : list of callable
        Each is called, in any thread, with every job that this process has ended.
    """

    def __init__(
        self,
        folder: Path,
        tasks: Mapping[str, str],
        *,
        workers: int = 1,
        queue_limit: int = 1000,
        retention: timedelta = timedelta(days=30),
        policy: RunPolicy = RunPolicy(),  # noqa: B008 - it cannot be changed
    ) -> None:
        super().__init__(folder)
        self.tasks = dict(tasks)
        self.on_end: list[Callable[[Job], None]] = []
        self._workers, self._queue_limit, self._retention = workers, queue_limit, retention
        self.policy = policy
        self._server: tuple[Lock, Scheduler] | None = None

    # -- of a server -------------------------------------------------------------------------------

    def start(self) -> None:
        """Become the server of this folder: recover jobs of a killed server, and run queued jobs.

        Raises
        ------
        ConflictError
            If another process is its server; the message names it.
        """
        from ktt_jobs.locks import lock_server
        from ktt_jobs.scheduler import Scheduler

        if self._server is not None:
            raise FailedPreconditionError(f"this process already runs the jobs in {self.folder}")
        lock = lock_server(self.folder)
        try:
            store, feed = self._open()
            scheduler = Scheduler(
                store,
                feed,
                self.folder,
                self.tasks,
                self._workers,
                self._retention,
                self.policy,
                self._ended,
            )
            scheduler.start()
        except BaseException:
            lock.release()
            raise
        self._server = lock, scheduler

    def stop(self, *, grace: float = 10) -> None:
        """Stop and requeue running jobs; return when all workers have ended.

        Parameters
        ----------
        grace : float
            Seconds until workers that do not stop are killed.
        """
        if self._server is None:
            return
        lock, scheduler = self._server
        scheduler.stop(grace)
        self._server = None
        self._open()[1].notify_all()
        self.close()
        lock.release()

    def earlier(
        self, kind: str, spec: Mapping[str, Any], *, labels: Mapping[str, str], request_id: str
    ) -> Job | None:
        """Return the job that the same request created before; None if it is new or has no id.

        So a request can be repeated even if its inputs do not exist any more.

        Parameters
        ----------
        kind, spec, labels, request_id
            As `submit` takes them.

        Raises
        ------
        AlreadyExistsError
            If a request of this id asked for something else.
        """
        from ktt_jobs.queries import find_request
        from ktt_jobs.store import refuse_other
        from ktt_jobs.validation import same_request

        found = find_request(self._open()[0], kind, request_id) if request_id else None
        if found is None:
            return None
        job, digest = found
        if not same_request(digest, kind, spec, labels):
            refuse_other(request_id, job.id)
        return job

    def submit(
        self, kind: str, spec: Mapping[str, Any], *, labels: Mapping[str, str], request_id: str = ""
    ) -> Job:
        """Queue a job; it is durable when this returns.

        Parameters
        ----------
        kind : str
        spec : mapping
            JSON values.
        labels : mapping of str to str
        request_id : str
            If a job of this kind was created with it before, that job is returned.

        Raises
        ------
        InvalidArgumentError
            If an argument is invalid; `field` names it.
        AlreadyExistsError
            If the job of this `request_id` has another spec or other labels.
        QueueFullError
            If the queue is full.
        """
        from ktt_jobs.store import new_job
        from ktt_jobs.validation import check_new_job

        new = check_new_job(self.tasks, kind, spec, labels, request_id)
        job_id, events, ahead = self._open()[0].create(new, self._queue_limit)
        if not events:
            return self.get(job_id)
        server = self._server
        if server is not None:
            server[1].wake()
        return new_job(new, events[0], ahead)

    # -- of a command ------------------------------------------------------------------------------

    def run(
        self,
        kind: str,
        spec: Mapping[str, Any],
        *,
        labels: Mapping[str, str],
        on_event: Callable[[JobEvent], None],
        on_wait: Callable[[float], None] | None = None,
        request_id: str = "",
    ) -> Job:
        """Run a job now, in a worker of this process, independently of a server.

        If this process is interrupted, or `on_event` raises, the worker is stopped, the job is
        CANCELLED, and the exception propagates. A worker that takes steps finishes one first; a
        second interruption meanwhile ends it at once. If a job of this kind was created with
        `request_id` before, that one is watched to its end instead.

        Parameters
        ----------
        kind, spec, labels, request_id
            As `submit` takes them.
        on_event : callable
            Called with every event, in this thread.
        on_wait : callable, optional
            Called with the maximum seconds of a stop that waits for the end of a step.

        Returns
        -------
        Job
            The ended job.

        Raises
        ------
        InvalidArgumentError, AlreadyExistsError
            As `submit`.
        """
        from ktt_jobs.embedded import run_here
        from ktt_jobs.recovery import prune
        from ktt_jobs.validation import check_new_job

        new = check_new_job(self.tasks, kind, spec, labels, request_id)
        store, feed = self._open()
        if store.exists:
            self._recover()
            prune(store, feed, self.folder, self._retention)
        try:
            job_id, ran = run_here(
                store, feed, self.folder, new, self.tasks[kind], self.policy, on_event, on_wait
            )
        except BaseException:
            self._ended_if_known(new.id)
            raise
        if not ran:
            for event in self.watch(job_id):
                on_event(event)
        job = self.get(job_id)
        if ran:
            self._ended(job)
        return job

    def cancel(self, job_id: str) -> Job:
        """Cancel a job: at once if it is queued, within about 2 s if it runs.

        A worker that takes steps has its policy's `step_grace` to finish one.

        A job that has ended is returned as it is.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If the id is not valid, or there is no such job.
        """
        self.get(job_id)
        store, feed = self._open()
        event = store.cancel(job_id)
        server = self._server
        if event is not None:
            feed.add(job_id, event)
            self._ended(self.get(job_id))
        elif server is not None:
            server[1].cancel(job_id)
        return self.get(job_id)

    def _ended_if_known(self, job_id: str) -> None:
        try:
            job = self.get(job_id)
        except NotFoundError:
            return  # it could not even be created
        if job.state.ended:
            self._ended(job)

    def _ended(self, job: Job) -> None:
        for callback in self.on_end:
            try:
                callback(job)
            except Exception:
                _log.exception("a callback for the end of job %s failed", job.id)
