"""The connections to a running trainer and exporter."""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import grpc

import exporter
import trainer
from cli.backend.connection import Connection
from cli.backend.job_calls import JobCalls
from ktt.exporter.v1.exporter_service_pb2_grpc import ExporterServiceStub
from ktt.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub
from ktt_core.errors import NotFoundError, UnavailableError
from ktt_rpc.channel import ClientSettings, open_channel
from ktt_rpc.job_messages import codec_of, job_from_proto

if TYPE_CHECKING:
    from ktt_jobs import Job
    from ktt_jobs.kinds import JobKind

__all__ = ["Services"]


class Services:
    """The services of a connection; connected on first use.

    Parameters
    ----------
    connection : Connection
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channels: list[grpc.Channel] = []

    def close(self) -> None:
        """Close the open channels."""
        for channel in self._channels:
            channel.close()

    @cached_property
    def trainer(self) -> TrainerServiceStub:
        """The trainer's calls."""
        return TrainerServiceStub(self._open(self._connection.trainer))

    @cached_property
    def exporter(self) -> ExporterServiceStub:
        """The exporter's calls."""
        return ExporterServiceStub(self._open(self._connection.exporter))

    def _open(self, address: str) -> grpc.Channel:
        given = self._connection
        channel = open_channel(
            ClientSettings(
                address=address,
                insecure=given.insecure,
                tls=given.tls,
                ca_cert=given.ca_cert,
                client_cert=given.client_cert,
                client_key=given.client_key,
                token_file=given.token_file,
                server_name=given.server_name or "",
                timeout=given.timeout,
            )
        )
        self._channels.append(channel)
        return channel

    def jobs(self, kind: str) -> JobCalls:
        """Return the calls about one kind of job: "training", "evaluation" or "export"."""
        described, address = _KINDS[kind], self._connection.trainer
        stub: Any = self.trainer
        if described in exporter.KINDS:
            stub, address = self.exporter, self._connection.exporter
        to_job = partial(job_from_proto, described)
        messages = codec_of(described).messages
        return JobCalls(kind, stub, messages, to_job, self._connection, address)

    def all_jobs(self) -> list[JobCalls]:
        """Return the calls about each kind of job."""
        return [self.jobs(kind) for kind in _KINDS]

    def find(self, job_id: str) -> tuple[JobCalls, Job]:
        """Return a job of any kind, and the calls about it.

        Raises
        ------
        NotFoundError
            If no service has it.
        UnavailableError
            If a service that may have it does not answer.
        """
        away: UnavailableError | None = None
        for calls in self.all_jobs():
            try:
                return calls, calls.get(job_id)
            except NotFoundError:
                continue
            except UnavailableError as error:
                away = away or error
        if away is not None:
            raise away
        raise NotFoundError(
            f"neither {self._connection.trainer} nor {self._connection.exporter} has a job "
            f"{job_id!r}; `ktt jobs list` shows those there are"
        )


_KINDS: dict[str, JobKind[Any]] = {kind.name: kind for kind in (*trainer.KINDS, *exporter.KINDS)}
