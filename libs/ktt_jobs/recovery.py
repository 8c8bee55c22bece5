"""Recovery of jobs whose process is gone, and removal of old jobs."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ktt_core.errors import KttError
from ktt_jobs.event_bus import EventBus
from ktt_jobs.jobs import JobError, JobEvent, JobState
from ktt_jobs.kept_state import read_failure_hint, remove_kept
from ktt_jobs.locks import is_job_id, lock_job
from ktt_jobs.logs import read_tail
from ktt_jobs.publishing import resolve
from ktt_jobs.queries import RunningJob, running
from ktt_jobs.rows import now
from ktt_jobs.store import JobStore

__all__ = ["Recovered", "prune", "recover"]

_log = logging.getLogger(__name__)
# Crashes of the server after which a running job is not started again: the job may cause them.
_MAX_CRASHES = 3
# A job's folder is created before the job is stored; older folders without a job are leftovers.
_YOUNG = 3600.0


@dataclass(frozen=True)
class Recovered:
    """Result of `recover`.

    Attributes
    ----------
    held : int
        Number of jobs that a living process holds.
    ended : list of str
        Ids of the jobs that it ended.
    """

    held: int
    ended: list[str]


def recover(store: JobStore, feed: EventBus, folder: Path) -> Recovered:
    """Recover jobs that are RUNNING in the store without a process.

    A job that published its result has succeeded. Otherwise a command's job has failed, and a
    server's job is queued again. The lock alone shows whether a process runs a job, so any process
    may call this at any time, and no job is run twice at once.

    Parameters
    ----------
    store : JobStore
    feed : EventBus
    folder : Path
        Holds the jobs' folders.

    Returns
    -------
    Recovered
    """
    held, ended = 0, []
    for job in running(store):
        lock = None
        try:
            lock = None if feed.runs(job.id) else lock_job(folder / job.id)
            if lock is None:
                held += 1
                continue
            event = _recover(store, folder / job.id, job)
        except (KttError, OSError) as error:
            # An error of one job must not affect the others.
            _log.error("job %s cannot be recovered yet: %s", job.id, error)
            held += 1
            continue
        finally:
            if lock is not None:
                lock.release()
        if event is not None:
            _log.warning("job %s lost its process and is %s now", job.id, event.state)
            feed.add(job.id, event)
            if event.state is not None and event.state.ended:
                ended.append(job.id)
    return Recovered(held, ended)


def _recover(store: JobStore, folder: Path, job: RunningJob) -> JobEvent | None:
    # The store changes nothing if the job has ended or was queued again in the meantime.
    result = resolve(folder)
    if result is not None:
        return store.end(job.id, JobState.SUCCEEDED, result=result)
    shutil.rmtree(folder / "files", ignore_errors=True)
    event = _go_on_or_end(store, folder, job)
    if event is not None and event.state is not None and event.state.ended:
        remove_kept(folder)
    return event


def _go_on_or_end(store: JobStore, folder: Path, job: RunningJob) -> JobEvent | None:
    if job.cancel_requested:
        return store.end(job.id, JobState.CANCELLED)
    if job.embedded:
        message = (
            f"the command that ran it (process {job.runner}) was ended before the job was done; "
            f"{read_failure_hint(folder) or 'run it again'}"
        )
        return store.end(job.id, JobState.FAILED, _error("RunnerGone", message, folder))
    if job.crash_count + 1 >= _MAX_CRASHES:
        message = (
            f"the server died {job.crash_count + 1} times while this job ran, so it is not begun "
            "again; if memory ran out, ask for less at once"
        )
        if hint := read_failure_hint(folder):
            message += f"; {hint}"
        return store.end(job.id, JobState.FAILED, _error("ServerRestarted", message, folder))
    return store.requeue(job.id, crashed=True)


def _error(kind: str, message: str, folder: Path) -> JobError:
    return JobError(kind, message, log_tail=read_tail(folder / "log.txt"))


def prune(store: JobStore, feed: EventBus, folder: Path, retention: timedelta) -> int:
    """Remove jobs that ended long ago, with their events and folders; return how many.

    Folders that belong to no job are removed too, if they are old.
    """
    removed = 0
    before = now() - retention // timedelta(microseconds=1)
    while gone := store.prune(before):
        feed.forget(gone)
        removed += len(gone)
        for job_id in gone:
            _remove(folder / job_id)
    oldest = time.time() - _YOUNG
    strays = [
        path.name
        for path in folder.iterdir()
        if is_job_id(path.name) and path.lstat().st_mtime < oldest
    ]
    for name in sorted(set(strays) - store.known(strays)):
        _remove(folder / name)
    return removed


def _remove(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        return
    lock = lock_job(folder)
    if lock is not None:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            lock.release()
