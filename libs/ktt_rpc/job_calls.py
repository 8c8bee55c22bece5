"""The five calls about jobs of a kind, for servicers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from ktt_core.fields import within
from ktt_jobs.kinds import JobHost, JobKind
from ktt_rpc.current_call import in_thread, in_watch_thread, note_job
from ktt_rpc.job_messages import codec_of, event_to_proto, job_to_proto, states_from_proto
from ktt_rpc.paging import next_page_token, page_cursor, page_size
from ktt_rpc.watching import watch

__all__ = ["add_job_calls"]


def add_job_calls(servicer: object, host: JobHost, kinds: Iterable[JobKind[Any]]) -> None:
    """Add the calls about these kinds of jobs to a servicer: ``CreateTrainingJob`` and so on."""
    for kind in kinds:
        calls, name = _JobCalls(host, kind), kind.name.capitalize()
        for verb in ("Create", "Get", "Watch", "Cancel"):
            setattr(servicer, f"{verb}{name}Job", getattr(calls, verb.lower()))
        setattr(servicer, f"List{name}Jobs", calls.list)


class _JobCalls:
    """Creates, shows, watches and cancels jobs of a kind.

    The messages of all kinds have the same fields, except for their names and the types of spec and
    result.
    """

    def __init__(self, host: JobHost, kind: JobKind[Any]) -> None:
        self._host, self._kind, self._codec = host, kind, codec_of(kind)

    async def create(self, request: Any, context: Any) -> Any:
        """Create a job, or only check its spec."""
        with within("spec", but=("request_id",)):
            spec = self._codec.spec_from_proto(request.spec)
            if request.validate_only:
                await in_thread(self._host.validate, self._kind, spec)
                return self._with_job("Create", self._message("{}Job", spec=request.spec))
            job = await in_thread(self._host.submit, self._kind, spec, request.request_id)
        note_job(job.id)
        return self._with_job("Create", job_to_proto(self._kind, job))

    async def get(self, request: Any, context: Any) -> Any:
        """Return a job."""
        note_job(request.id)
        job = await in_thread(self._host.get_job, self._kind, request.id)
        return self._with_job("Get", job_to_proto(self._kind, job))

    async def list(self, request: Any, context: Any) -> Any:
        """Return a page of jobs."""
        jobs, cursor = await in_thread(
            self._host.list_jobs,
            self._kind,
            request.dataset,
            request.model,
            states=states_from_proto(request.states),
            limit=page_size(request),
            after=page_cursor(request),
        )
        found = {f"{self._kind.name}_jobs": [job_to_proto(self._kind, job) for job in jobs]}
        token = next_page_token(request, cursor)
        return self._message("List{}JobsResponse", **found, next_page_token=token)

    async def watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """Send a job's events."""
        note_job(request.id)
        await in_watch_thread(self._host.get_job, self._kind, request.id)
        async for event in watch(self._host.jobs, request.id, request.after_event):
            yield self._message("Watch{}JobResponse", event=event_to_proto(event))

    async def cancel(self, request: Any, context: Any) -> Any:
        """Cancel a job."""
        note_job(request.id)
        job = await in_thread(self._host.cancel_job, self._kind, request.id)
        return self._with_job("Cancel", job_to_proto(self._kind, job))

    def _with_job(self, verb: str, job: Any) -> Any:
        return self._message(verb + "{}JobResponse", **{f"{self._kind.name}_job": job})

    def _message(self, name: str, **fields: Any) -> Any:
        return self._codec.message(name.format(self._kind.name.capitalize()))(**fields)
