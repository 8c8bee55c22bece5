"""The jobs of one service in one workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from ktt_jobs.jobs import Job, JobEvent, JobState

__all__ = ["JobService"]


class JobService:
    """Keeps jobs, runs them, and tells what happens to them. Usable from any thread.

    Constructing it is cheap and touches no file.

    Parameters
    ----------
    folder : Path
        Holds ``jobs.sqlite``, ``server.lock`` and a folder per job; made when first needed.
    tasks : mapping of str to str
        The kinds of jobs: ``{"training": "package.module:function"}``; see `TaskContext`.
    workers : int
        Jobs that a server runs at once.
    queue_limit : int
        Jobs that may wait.
    retention : timedelta
        How long ended jobs are kept.
    """

    #: Called with every job that ended in this process, from the thread that ran it; for metrics.
    on_end: list[Callable[[Job], None]]

    def __init__(
        self,
        folder: Path,
        tasks: Mapping[str, str],
        *,
        workers: int = 1,
        queue_limit: int = 1000,
        retention: timedelta = timedelta(days=30),
    ) -> None:
        self.folder = Path(folder)
        self.tasks = dict(tasks)
        self.on_end = []

    # -- of a server -------------------------------------------------------------------------------

    def start(self) -> None:
        """Become the server of this folder: recover what a killed one left, and run what is queued.

        Raises
        ------
        ConflictError
            If another process is.
        """
        raise NotImplementedError

    def stop(self, *, grace: float = 10) -> None:
        """Stop running jobs and put them back into the queue; return when all workers are gone.

        Parameters
        ----------
        grace : float
            Seconds until workers that do not stop are killed.
        """
        raise NotImplementedError

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
            If something is not of the form it must have; `field` says what.
        AlreadyExistsError
            If the job of this `request_id` has another spec or other labels.
        QueueFullError
            If as many jobs wait as may.
        """
        raise NotImplementedError

    # -- of a command ------------------------------------------------------------------------------

    def run(
        self,
        kind: str,
        spec: Mapping[str, Any],
        *,
        labels: Mapping[str, str],
        on_event: Callable[[JobEvent], None],
        request_id: str = "",
    ) -> Job:
        """Run a job now, in a worker of this process, beside whatever server there may be.

        If this process is interrupted, or `on_event` raises, the worker is stopped, the job is
        CANCELLED, and the exception goes on.

        Returns
        -------
        Job
            The ended job.

        Raises
        ------
        InvalidArgumentError, AlreadyExistsError
            As `submit`.
        """
        raise NotImplementedError

    # -- of both -----------------------------------------------------------------------------------

    def get(self, job_id: str, kind: str | None = None) -> Job:
        """Return a job.

        Raises
        ------
        NotFoundError
            If there is none of that id, or it is of another kind.
        """
        raise NotImplementedError

    def list(
        self,
        *,
        kinds: Sequence[str],
        states: Sequence[JobState] = (),
        labels: Mapping[str, str] | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> tuple[list[Job], str | None]:
        """Return a page of jobs, newest first, and where the next page begins (None: nowhere).

        Parameters
        ----------
        kinds, states : sequence
            Empty for all.
        labels : mapping of str to str
            Labels that the jobs have.
        limit : int
        after : str, optional
            What the page before returned.

        Raises
        ------
        InvalidArgumentError
            If `after` is nothing that this returned.
        """
        raise NotImplementedError

    def active(self, labels: Mapping[str, str]) -> list[Job]:
        """Return the jobs with these labels that have not ended, of every kind."""
        raise NotImplementedError

    def events(self, job_id: str, after: int = 0, limit: int = 1000) -> list[JobEvent]:
        """Return a job's events with a greater number than `after`, in order.

        Raises
        ------
        NotFoundError
            If there is no such job.
        """
        raise NotImplementedError

    def watch(
        self, job_id: str, after: int = 0, timeout: float | None = None
    ) -> Iterator[JobEvent]:
        """Yield a job's events as they come, until it has ended or `timeout` seconds are over.

        Raises
        ------
        NotFoundError
            If there is no such job.
        """
        raise NotImplementedError

    def subscribe(self, job_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called, from any thread, when a job may have new events.

        Returns
        -------
        callable
            Ends it.
        """
        raise NotImplementedError

    def cancel(self, job_id: str) -> Job:
        """Cancel a job: at once if it is queued, within some 2 s if it runs.

        Raises
        ------
        NotFoundError
            If there is no such job. A job that has ended is returned as it is.
        """
        raise NotImplementedError

    def stats(self) -> dict[str, int]:
        """Return how many jobs are in each state, by the states' names."""
        raise NotImplementedError

    def files(self, job_id: str) -> Path:
        """Return the folder of files that a job's task made (`TaskContext.folder`)."""
        raise NotImplementedError
