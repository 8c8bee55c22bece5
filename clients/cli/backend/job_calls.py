"""The calls about one kind of job; the same five for all kinds."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.backend.connection import Connection
from cli.backend.protocol import JobFilter, Watcher
from cli.backend.rpc import call_service
from ktt_core.errors import KttError
from ktt_rpc.client_calls import watch_reconnecting
from ktt_rpc.job_messages import event_from_proto, state_to_proto

if TYPE_CHECKING:
    from ktt_jobs import Job, JobEvent

__all__ = ["SETTLING_SECONDS", "JobCalls"]

#: Seconds that a server may be unavailable without a notice, once a command's work has started.
SETTLING_SECONDS = 30.0

_PAGE = 200


@dataclass(frozen=True)
class JobCalls:
    """The calls about one kind of job.

    The names of messages and calls differ only in the kind: ``CreateTrainingJob``,
    ``CreateTrainingJobRequest``, ``response.training_job`` ...

    Attributes
    ----------
    kind : str
        "training", "evaluation" or "export".
    stub : object
        Stub of the service.
    messages : module
        Generated module with the requests.
    to_job : callable
        Converts the kind's message to a `Job`.
    connection : Connection
    address : str
        Of the service, for messages.
    """

    kind: str
    stub: Any
    messages: Any
    to_job: Callable[[Any], Job]
    connection: Connection
    address: str

    def check(self, spec: Any) -> None:
        """Have the server check a spec without creating a job."""
        self._call(f"Create{self._name}Job", spec=spec, validate_only=True)

    def create(self, spec: Any, request_id: str) -> Job:
        """Create a job; repeated with the same `request_id` and spec, it returns the same job."""
        return self._job(
            self._call(
                f"Create{self._name}Job",
                patience=SETTLING_SECONDS,
                spec=spec,
                request_id=request_id,
            )
        )

    def get(self, job_id: str, patience: float | None = None) -> Job:
        """Return a job; the server may be unavailable for `patience` seconds."""
        return self._job(self._call(f"Get{self._name}Job", patience=patience, id=job_id))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return self._job(self._call(f"Cancel{self._name}Job", id=job_id))

    def newest(self, wanted: JobFilter) -> Iterator[Job]:
        """Yield the jobs that a filter allows, the newest first, a page at a time."""
        token = ""
        while True:
            response = self._call(
                f"List{self._name}Jobs",
                dataset=wanted.dataset or "",
                model=wanted.model or "",
                states=[state_to_proto(state) for state in wanted.states],
                page_size=_PAGE,
                page_token=token,
            )
            yield from map(self.to_job, getattr(response, f"{self.kind}_jobs"))
            token = response.next_page_token
            if not token:
                return

    def watch(self, job_id: str, after: int, watcher: Watcher) -> Generator[JobEvent, None, None]:
        """Yield a job's events after a number, each once; report lost connections."""
        request = getattr(self.messages, f"Watch{self._name}JobRequest")
        method = getattr(self.stub, f"Watch{self._name}Job")

        away = False

        def on_lost(error: KttError, wait: float) -> None:
            nonlocal away
            if not away:
                watcher.notice(
                    f"lost the connection to {self.address} ({error}); the job continues with "
                    f"the server; waiting up to {self.connection.reconnect:,.0f} s for it ..."
                )
            away = True

        responses = watch_reconnecting(
            lambda number: method(request(id=job_id, after_event=number)),
            after,
            patience=self.connection.reconnect,
            on_lost=on_lost,
        )
        with closing(responses):  # type: ignore[type-var]
            for response in responses:
                if away:
                    away = False
                    watcher.notice(f"connected to {self.address} again")
                yield event_from_proto(response.event)

    @property
    def _name(self) -> str:
        return self.kind.capitalize()

    def _call(self, name: str, /, *, patience: float | None = None, **fields: Any) -> Any:
        return call_service(
            self.stub,
            self.messages,
            name,
            connection=self.connection,
            address=self.address,
            patience=patience,
            **fields,
        )

    def _job(self, response: Any) -> Job:
        return self.to_job(getattr(response, f"{self.kind}_job"))
