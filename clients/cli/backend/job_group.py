"""The jobs of one command: submission, watching, cancellation and detaching."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from cli.backend.job_calls import SETTLING_SECONDS, JobCalls
from cli.backend.protocol import DetachedError, Watcher
from cli.termination import TerminatedError
from ktt_core.errors import KttError

if TYPE_CHECKING:
    from ktt_jobs import Job

__all__ = ["JobGroup", "JobRequest"]

# Seconds that a server may take to stop a job that finishes its step and saves its state, and after
# which a notice explains the wait.
_CANCEL_SECONDS = 180.0
_EXPLAIN_SECONDS = 2.0


@dataclass(frozen=True)
class JobRequest:
    """One job's spec as the service's message, and its names for display."""

    spec: Any
    model: str
    dataset: str


class JobGroup:
    """Jobs of one kind that one command waits for.

    Every job has a request id from the start, so that submitting it again after a lost connection
    or an interrupt does not create a second one.

    Parameters
    ----------
    calls : JobCalls
    requests : sequence of JobRequest
        Already checked.
    """

    def __init__(self, calls: JobCalls, requests: Sequence[JobRequest]) -> None:
        self._calls = calls
        self._requests = requests
        self._request_ids = [uuid.uuid4().hex for _ in requests]
        self._jobs: list[Job | None] = [None] * len(requests)
        self._seen = [0] * len(requests)
        self._submitting: int | None = None

    def submit(self) -> list[Job]:
        """Submit the jobs and return them.

        Raises
        ------
        KttError
            If one is refused. Earlier ones are cancelled then.
        KeyboardInterrupt
            If interrupted meanwhile; all are cancelled then.
        """
        try:
            return self._submit_all()
        except KeyboardInterrupt:
            self._cancel_all()
            raise

    def _submit_all(self) -> list[Job]:
        try:
            for index in range(len(self._requests)):
                if self._jobs[index] is None:
                    self._submit_one(index)
        except KttError as error:
            raise self._without_rest(error) from error
        return [job for job in self._jobs if job is not None]

    def run(self, watcher: Watcher) -> list[Job]:
        """Submit the jobs and watch them to their ends; return the ended jobs.

        Raises
        ------
        DetachedError
            If the watcher was interrupted and the user chose to detach.
        KeyboardInterrupt
            If it was interrupted and the user chose to cancel; the jobs are cancelled.
        KttError
            If one is refused, or the server stays unavailable.
        """
        while True:
            try:
                self._submit_all()
                return [self._follow(index, watcher) for index in range(len(self._requests))]
            except KeyboardInterrupt as interrupt:
                self._interrupted(interrupt, watcher)

    def _submit_one(self, index: int) -> None:
        self._submitting = index
        self._jobs[index] = self._calls.create(self._requests[index].spec, self._request_ids[index])
        self._submitting = None

    def _follow(self, index: int, watcher: Watcher) -> Job:
        job, request = self._job(index), self._requests[index]
        if job.state.ended:
            return job
        watcher.begins(request.model, request.dataset, index, len(self._requests))
        if job.jobs_ahead:
            watcher.notice(f"job {job.id} waits: {job.jobs_ahead} before it")
        with closing(self._calls.watch(job.id, self._seen[index], watcher)) as events:
            for event in events:
                self._seen[index] = event.sequence
                if event.progress is not None:
                    watcher.progress(event.progress)
        ended = self._calls.get(job.id, SETTLING_SECONDS)
        self._jobs[index] = ended
        return ended

    def _job(self, index: int) -> Job:
        job = self._jobs[index]
        assert job is not None, "followed before it was submitted"
        return job

    # -- interrupts --------------------------------------------------------------------------------

    def _interrupted(self, interrupt: KeyboardInterrupt, watcher: Watcher) -> None:
        """Handle an interrupt; return to continue watching."""
        choice = (
            "cancel"
            if isinstance(interrupt, TerminatedError)
            else watcher.ask([job.id for job in self._jobs if job and not job.state.ended])
        )
        if choice == "watch":
            return
        if choice == "detach":
            # An interrupt during submission: all jobs are submitted before detaching.
            jobs = [self._calls.get(job.id) for job in self._submit_all()]
            raise DetachedError([job for job in jobs if not job.state.ended]) from None
        self._cancel_all(watcher)

    def _cancel_all(self, watcher: Watcher | None = None) -> NoReturn:
        if self._submitting is not None:
            # The job may exist or not; a repeated request returns it or creates it once.
            self._submit_one(self._submitting)
        cancelled = self._cancel(watcher)
        raise KeyboardInterrupt(
            f"interrupted; cancelled at the server: {', '.join(cancelled) or 'nothing'}"
        ) from None

    def _cancel(self, watcher: Watcher | None) -> list[str]:
        """Cancel unfinished jobs, wait for their ends, and return the ids of cancelled ones.

        Raises
        ------
        KeyboardInterrupt
            If interrupted again; the server cancels them nevertheless.
        """
        left = [job.id for job in self._jobs if job and not job.state.ended]
        try:
            asked = [self._calls.cancel(job_id) for job_id in left]
            ended = [self._ended(job, watcher) for job in asked]
            return [job.id for job in ended if job.state.value == "CANCELLED"]
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted; the server was told to cancel: {', '.join(left)}"
            ) from None
        except KttError as error:
            raise type(error)(
                f"{error}; look whether these jobs have ended, with `ktt jobs show`: "
                f"{', '.join(left)}"
            ) from error

    def _ended(self, job: Job, watcher: Watcher | None) -> Job:
        """Wait for the end of a cancelled job."""
        began, explained = time.monotonic(), watcher is None
        while not job.state.ended:
            waited = time.monotonic() - began
            if watcher is not None and not explained and waited > _EXPLAIN_SECONDS:
                explained = True
                watcher.notice(
                    f"job {job.id} finishes its step and saves its state "
                    "(again: do not wait for it)"
                )
            if waited > _CANCEL_SECONDS:
                raise KttError(
                    f"job {job.id} was told to stop and has not within {_CANCEL_SECONDS:.0f} s"
                )
            time.sleep(0.1)
            job = self._calls.get(job.id)
        return job

    def _without_rest(self, error: KttError) -> KttError:
        """Cancel what was submitted before a refusal, and say so in the error."""
        submitted = [job for job in self._jobs if job is not None and not job.state.ended]
        left = []
        for job in submitted:
            try:
                self._calls.cancel(job.id)
            except KttError:
                left.append(job.id)
        if left:
            note = f"; these jobs run on, cancel them by hand: {', '.join(left)}"
        else:
            note = f"; the {len(submitted)} jobs submitted before were cancelled"
        return type(error)(f"{error}{note}") if submitted else error
