"""One attempt at a job, from the start of its worker to the job's next state."""

from __future__ import annotations

import logging
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ktt_core.errors import KttError, NotFoundError, is_disk_full
from ktt_core.progress import Progress
from ktt_jobs.event_bus import EventBus
from ktt_jobs.jobs import Job, JobError, JobEvent, JobState, RunPolicy
from ktt_jobs.kept_state import read_failure_hint, remove_kept
from ktt_jobs.locks import Lock
from ktt_jobs.publishing import abort, resolve
from ktt_jobs.queries import is_cancelled
from ktt_jobs.recorder import ProgressRecorder
from ktt_jobs.store import JobStore
from ktt_jobs.worker import Worker, describe_death

__all__ = ["Execution"]

_log = logging.getLogger(__name__)
# Seconds between polls of a silent worker, and of the store for a cancellation.
_TICK = 0.1
_ASK = 0.5
# Seconds that a worker has to end after it was told to (without steps), and after its result.
_CANCEL_PATIENCE = 1.0
_DONE_PATIENCE = 10.0

# Seconds by which a service may receive a signal to stop later than its worker.
_HEARSAY = 1.0

Reason = Literal["", "cancel", "shutdown"]


class Execution:
    """Runs a job that this process has locked and started.

    Parameters
    ----------
    store : JobStore
    feed : EventBus
    folder : Path
        The job's.
    job : Job
        In state RUNNING.
    task : str or None
        "package.module:function"; None if this process knows no jobs of its kind.
    lock : Lock
        The job's; released when the job's state is stored.
    policy : RunPolicy
    on_event : callable, optional
        Called with every event from the next one on, in the thread that runs it.
    on_wait : callable, optional
        Called once if an interruption waits for the worker to finish a step, with the maximum
        seconds.
    """

    def __init__(
        self,
        store: JobStore,
        feed: EventBus,
        folder: Path,
        job: Job,
        task: str | None,
        lock: Lock,
        policy: RunPolicy,
        on_event: Callable[[JobEvent], None] | None = None,
        on_wait: Callable[[float], None] | None = None,
    ) -> None:
        self.job = job
        self._store, self._feed, self._folder = store, feed, folder
        self._task, self._lock, self._policy = task, lock, policy
        self._on_event, self._on_wait = on_event, on_wait
        self._takes_steps = False
        self._stopping = threading.Event()
        self._reason: Reason = ""
        self._deadline = 0.0
        self._final: dict[str, Any] | None = None
        self._done_by = math.inf
        self._recorder = ProgressRecorder(self._store_progress)

    def stop(self, reason: Reason, patience: float = _CANCEL_PATIENCE) -> None:
        """Stop the worker; thread-safe. A second call can only shorten the grace period."""
        deadline = time.monotonic() + patience
        if not self._stopping.is_set():
            self._reason, self._deadline = reason, deadline
            self._stopping.set()
        elif deadline < self._deadline:
            self._deadline = deadline

    def run(self, earlier: Sequence[JobEvent] = ()) -> JobState:
        """Run the job to its end, or until it is stopped, and store its new state.

        Parameters
        ----------
        earlier : sequence of JobEvent
            Events that `on_event` is called with first.

        Returns
        -------
        JobState
            QUEUED if it was requeued.

        Raises
        ------
        BaseException
            From `on_event`, or an interruption: the worker has ended then, and the job is CANCELLED
            (or SUCCEEDED, if it was complete).
        """
        state = JobState.QUEUED
        try:
            try:
                state = self._conclude(self._work(earlier))
            except BaseException as interruption:
                if self._on_event is None and isinstance(interruption, Exception):
                    # The server continues: no caller waits for its jobs.
                    _log.exception("job %s: an unexpected error, which is a bug", self.job.id)
                    message = f"an unexpected error, which is a bug: {interruption!r}"
                    state = self._conclude(JobError("InternalError", message))
                    return state
                self._on_event = None
                self._reason = self._reason or "cancel"
                state = self._conclude(JobError("JobFailedError", "it was interrupted"))
                raise
            return state
        finally:
            self._feed.close(self.job.id, ended=state.ended)
            self._lock.release()

    def _work(self, earlier: Sequence[JobEvent]) -> JobError:
        """Run the worker to its end; return the error to store if there is no result."""
        if self._on_event is not None:
            for event in earlier:
                self._on_event(event)
        if self._task is None:
            return JobError("UnsupportedError", f"no jobs of kind {self.job.kind!r} are run here")
        request = {
            "task": self._task,
            "spec": dict(self.job.spec),
            "job_id": self.job.id,
            "attempt": self.job.attempt,
            "folder": str(self._folder.absolute()),
        }
        try:
            # Remove what an earlier attempt prepared and did not publish.
            abort(self._folder)
            worker = Worker(request, self._lock.descriptor, self._folder / "log.txt")
        except OSError as error:
            kind = "ResourceExhaustedError" if is_disk_full(error) else "UnavailableError"
            return JobError(kind, f"the job cannot be started: {error.strerror or error}")
        try:
            self._follow(worker)
        except BaseException:
            self._see_out(worker)
            raise
        finally:
            code = worker.close()
        if code == -signal.SIGTERM and not self._stopping.is_set():
            # A signal to stop is often sent to all processes of a service, and this one may receive
            # it later.
            self._stopping.wait(_HEARSAY)
        if self._final is not None and "type" in self._final:
            return JobError(self._final["type"], self._final["message"], log_tail=worker.tail())
        return describe_death(code, worker.tail(), self._policy.memory_advice)

    def _follow(self, worker: Worker) -> None:
        """Receive events from a worker until it has ended; stop it when requested."""
        told = False
        asked = time.monotonic()
        while not worker.ended:
            self._take(worker.read(_TICK))
            self._recorder.flush_due()
            now = time.monotonic()
            if self._stopping.is_set():
                if not told:
                    told = True
                    worker.terminate()
                    if self._takes_steps and self._reason == "cancel":
                        self._deadline = max(self._deadline, now + self._policy.step_grace)
                if now >= self._deadline:
                    worker.kill()
            elif now >= self._done_by:
                # Its result or error has arrived, but threads of a library keep it alive, for
                # example.
                worker.kill()
            elif now - asked >= _ASK:
                asked = now
                self._ask()
        self._take(worker.drain())
        self._recorder.flush()

    def _see_out(self, worker: Worker) -> None:
        """End a worker after an interruption; a second interruption ends it at once."""
        if not self._takes_steps:
            worker.stop(_CANCEL_PATIENCE)
            return
        if self._on_wait is not None:
            self._on_wait(self._policy.step_grace)
        worker.stop(self._policy.step_grace)

    def _take(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            kind = event.pop("event")
            if kind == "progress":
                self._recorder.offer(Progress(**event))
            elif kind == "steps":
                self._takes_steps = bool(event["begin"])
            else:
                self._final = event
                self._done_by = time.monotonic() + _DONE_PATIENCE

    def _ask(self) -> None:
        """Check whether another process has cancelled the job."""
        try:
            cancelled = is_cancelled(self._store, self.job.id)
        except KttError as error:
            _log.warning("job %s: the store cannot be read: %s", self.job.id, error)
            return
        if cancelled:
            self.stop("cancel")

    def _conclude(self, error: JobError) -> JobState:
        """Store how the job ended; its files determine whether it succeeded."""
        result = resolve(self._folder)
        state = JobState.FAILED
        if result is not None:
            state = JobState.SUCCEEDED
        elif self._reason == "cancel":
            state = JobState.CANCELLED
        elif self._reason == "shutdown":
            state = JobState.QUEUED
        if state is not JobState.SUCCEEDED:
            shutil.rmtree(self._folder / "files", ignore_errors=True)
        if state is JobState.FAILED and (hint := read_failure_hint(self._folder)):
            error = replace(error, message=f"{error.message}; {hint}")

        def keep() -> JobEvent | None:
            if state is JobState.QUEUED:
                return self._store.requeue(self.job.id, crashed=False)
            shown = error if state is JobState.FAILED else None
            return self._store.end(self.job.id, state, shown, result)

        event = self._insist(keep)
        if event is not None:
            state = event.state or state
            self._tell(event)
        if state.ended:
            remove_kept(self._folder)
        return state

    def _insist(self, keep: Callable[[], JobEvent | None]) -> JobEvent | None:
        """Store a state, with retries: the disk may be full at the moment."""
        wait = 0.1
        while True:
            try:
                return keep()
            except NotFoundError:
                _log.error("job %s was removed while it ran", self.job.id)
                return None
            except KttError as error:
                if self._reason == "shutdown" and wait > 1:
                    # Recovery at the next start determines it from the lock and the files.
                    _log.error("job %s: its state cannot be stored: %s", self.job.id, error)
                    return None
                _log.warning("job %s: its state cannot be stored yet: %s", self.job.id, error)
            time.sleep(wait)
            wait = min(2 * wait, 5.0)

    def _store_progress(self, progress: Progress, eta: float | None) -> None:
        try:
            event = self._store.add_progress(self.job.id, progress, eta)
        except KttError as error:
            # The job must not fail because its progress cannot be stored.
            _log.warning("job %s: its progress cannot be stored: %s", self.job.id, error)
            return
        if event is not None:
            self._tell(event)

    def _tell(self, event: JobEvent) -> None:
        self._feed.add(self.job.id, event)
        if self._on_event is not None:
            self._on_event(event)
