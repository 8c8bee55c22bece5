"""Jobs that a command runs itself, recorded in the same store as a server's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from ktt_core.errors import ConflictError
from ktt_jobs.event_bus import EventBus
from ktt_jobs.execution import Execution
from ktt_jobs.jobs import JobEvent, JobState, RunPolicy
from ktt_jobs.locks import lock_job
from ktt_jobs.queries import find
from ktt_jobs.store import JobStore, NewJob

__all__ = ["run_here"]


def run_here(
    store: JobStore,
    feed: EventBus,
    folder: Path,
    new: NewJob,
    task: str,
    policy: RunPolicy,
    on_event: Callable[[JobEvent], None],
    on_wait: Callable[[float], None] | None = None,
) -> tuple[str, bool]:
    """Create a job that is RUNNING from the first moment, and run it to its end in a worker.

    Parameters
    ----------
    store : JobStore
    feed : EventBus
    folder : Path
        Holds the jobs' folders.
    new : NewJob
    task : str
    policy : RunPolicy
    on_event : callable
    on_wait : callable, optional
        As `Execution` takes them.

    Returns
    -------
    job_id : str
    ran : bool
        False if the request was made before: then nothing was run, and the id is that job's.
    """
    # Locked before it is visible: a running job without a lock counts as lost.
    lock = lock_job(folder / new.id)
    if lock is None:
        raise ConflictError(f"another process uses {folder / new.id}")
    created = False
    try:
        job_id, events, _ = store.create(new, 0, begin=True)
        created = bool(events)
        if not created:
            return job_id, False
        feed.open(job_id, events)
        job = find(store, job_id)
        execution = Execution(
            store, feed, folder / job_id, job, task, lock, policy, on_event, on_wait
        )
        execution.run(events)
        return job_id, True
    except BaseException:
        if created:
            # For an interruption between two steps; a job that has ended is not changed.
            store.end(new.id, JobState.CANCELLED)
        raise
    finally:
        if not created:
            shutil.rmtree(folder / new.id, ignore_errors=True)
        feed.close(new.id, ended=True)
        lock.release()
