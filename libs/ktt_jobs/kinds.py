"""Kinds of jobs, and a service's operations on jobs of any kind."""

from __future__ import annotations

import pkgutil
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ktt_core.documents import Document
from ktt_core.errors import InvalidArgumentError, KttError
from ktt_core.fields import at_field
from ktt_core.names import check_name

if TYPE_CHECKING:
    from ktt_jobs.jobs import Job, JobState
    from ktt_jobs.service import JobService

__all__ = ["JobHost", "JobKind", "JobSpec"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class JobSpec(Document, ABC):
    """What a job is asked to do."""

    @property
    @abstractmethod
    def labels(self) -> dict[str, str]:
        """Labels for filters."""


S = TypeVar("S", bound=JobSpec)


@dataclass(frozen=True)
class JobKind(Generic[S]):
    """Definition of a kind of job.

    Parts that need heavy imports are given by name, ``"package.module:name"``, and imported when
    needed.

    Attributes
    ----------
    name : str
        In lower case; calls and messages are named after it: ``CreateTrainingJob``.
    spec, outcome : type
        Types of a job's spec and result.
    codec : str
        Conversion of both to messages: a `ktt_rpc.job_messages.JobCodec`.
    validate : str
        A function of the `JobHost`, a spec and whether the job is submitted now (if not, inputs may
        still be missing). It raises KttError if such a job cannot succeed.
    task : str
        Function for the worker process; see `TaskContext`.
    """

    name: str
    spec: type[S]
    outcome: type[Document]
    codec: str
    validate: str
    task: str


class JobHost(ABC):
    """A service with jobs. Thread-safe."""

    @property
    @abstractmethod
    def jobs(self) -> JobService:
        """Stores and runs the jobs."""

    def validate(self, kind: JobKind[S], spec: S, *, submitted: bool = False) -> None:
        """Check a spec as far as possible before a job is created.

        Raises
        ------
        KttError
            As the kind's `validate`; the `field` of an InvalidArgumentError is the spec's.
        """
        pkgutil.resolve_name(kind.validate)(self, spec, submitted)

    def submit(self, kind: JobKind[S], spec: S, request_id: str = "") -> Job:
        """Queue a job; a repeated request returns the job that it created before.

        Raises
        ------
        KttError
            As `validate` and `JobService.submit`.
        """
        if request_id and _REQUEST_ID.fullmatch(request_id) is None:
            raise InvalidArgumentError(
                "a request_id has 1 to 64 letters, digits, '_' and '-'", field="request_id"
            )
        wanted, labels = spec.to_json(), spec.labels
        try:
            self.validate(kind, spec, submitted=True)
            with self.submitting(spec):
                return self.jobs.submit(kind.name, wanted, labels=labels, request_id=request_id)
        except KttError:
            # A repeated request returns its job even if the job's inputs have changed since.
            earlier = self.jobs.earlier(kind.name, wanted, labels=labels, request_id=request_id)
            if earlier is None:
                raise
            return earlier

    def submitting(self, spec: JobSpec) -> AbstractContextManager[None]:
        """Return a context to hold while a valid job is queued; empty by default."""
        return nullcontext()

    def get_job(self, kind: JobKind[Any], job_id: str) -> Job:
        """Return a job.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If the id is not valid, or there is no such job of that kind.
        """
        with at_field("id"):
            return self.jobs.get(job_id, kind.name)

    def list_jobs(
        self,
        kind: JobKind[Any],
        dataset: str = "",
        model: str = "",
        *,
        states: Sequence[JobState] = (),
        limit: int = 100,
        after: str | None = None,
    ) -> tuple[list[Job], str | None]:
        """Return a page of jobs, newest first, and a token for the next page, or None.

        Raises
        ------
        InvalidArgumentError
            If `dataset` or `model` is neither empty nor a valid name, or `after` is not a token.
        """
        labels = {}
        for label, name in (("dataset", dataset), ("model", model)):
            if name:
                with at_field(label):
                    labels[label] = check_name(name, label)
        return self.jobs.list(
            kinds=[kind.name], states=states, labels=labels, limit=limit, after=after
        )

    def cancel_job(self, kind: JobKind[Any], job_id: str) -> Job:
        """Cancel a job; one that has ended is returned as it is.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            As `get_job`.
        """
        self.get_job(kind, job_id)
        return self.jobs.cancel(job_id)
