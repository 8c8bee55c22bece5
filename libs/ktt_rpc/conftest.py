"""A server of one service with jobs in memory, certificates made on the spot, and a client."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ktt.trainer.v1 import datasets_pb2 as datasets
from ktt.trainer.v1 import trainer_service_pb2
from ktt.trainer.v1 import trainer_service_pb2_grpc as trainer_grpc
from ktt.trainer.v1 import training_pb2 as training
from ktt_core.errors import InvalidConfigError, NotFoundError
from ktt_core.progress import Progress
from ktt_jobs import Job, JobEvent, JobService, JobState
from ktt_rpc import current_call, paging
from ktt_rpc.channel import ClientSettings, open_channel
from ktt_rpc.job_messages import event_to_proto, status_to_proto
from ktt_rpc.server import RunningServer, ServiceSpec
from ktt_rpc.settings import ServerSettings
from ktt_rpc.watching import watch

NAME = trainer_service_pb2.DESCRIPTOR.services_by_name["TrainerService"].full_name
NOW = datetime.datetime(2026, 1, 31, 12, 34, 56, tzinfo=datetime.UTC)


class MemoryJobs:
    """What the shell of a server needs of a `JobService`, with one job, in memory."""

    def __init__(self) -> None:
        self.tasks = {"training": "somewhere:task"}
        self.on_end: list[Callable[[Job], None]] = []
        self.started = self.stopped = 0
        self.recorded: list[JobEvent] = []
        self.state = JobState.QUEUED
        self.subscribers: list[Callable[[], None]] = []
        self.add(state=JobState.QUEUED)

    def start(self) -> None:
        self.started += 1

    def stop(self, *, grace: float = 10) -> None:
        self.stopped += 1

    def add(self, *, state: JobState | None = None, step: int | None = None) -> None:
        progress = None if step is None else Progress("fit", step, 100)
        self.recorded.append(
            JobEvent(len(self.recorded) + 1, NOW, state, progress, None if step is None else 1.5)
        )
        self.state = state or self.state
        if self.state.ended:
            for callback in self.on_end:
                callback(replace(self.get("j1"), start_time=NOW, end_time=NOW))
        for told in list(self.subscribers):
            told()

    def get(self, job_id: str, kind: str | None = None) -> Job:
        if job_id != "j1":
            raise NotFoundError(f"there is no job {job_id[:100]}")
        return Job("j1", "training", {}, {}, self.state, NOW, last_event=len(self.recorded))

    def events(self, job_id: str, after: int = 0, limit: int = 1000) -> list[JobEvent]:
        self.get(job_id)
        return self.recorded[after : after + limit]

    def subscribe(self, job_id: str, callback: Callable[[], None]) -> Callable[[], None]:
        self.subscribers.append(callback)
        return lambda: self.subscribers.remove(callback)

    def stats(self) -> dict[str, int]:
        return {self.state.name: 1}


class Servicer(trainer_grpc.TrainerServiceServicer):
    """Some calls of the trainer; the job's id or the dataset's name says what is to happen."""

    def __init__(self, jobs: MemoryJobs) -> None:
        self.jobs = jobs
        self.remaining: float | None = None
        self.abandoned = threading.Event()

    async def GetTrainingJob(self, request, context):  # noqa: N802
        if request.id == "bug":
            raise KeyError("a secret text at /some/path")
        if request.id == "slow":
            self.remaining = current_call.time_remaining()
            await current_call.in_thread(self._work)
            await asyncio.sleep(20)  # The client is to see its own deadline, no answer after it.
        job = await current_call.in_thread(self.jobs.get, request.id)
        message = training.TrainingJob(id=job.id, status=status_to_proto(job))
        return training.GetTrainingJobResponse(training_job=message)

    def _work(self) -> None:
        for _ in range(6000):
            if current_call.abandoned():
                self.abandoned.set()
                return
            time.sleep(0.01)

    async def CreateTrainingJob(self, request, context):  # noqa: N802
        if request.spec.dataset == "long":
            raise InvalidConfigError("epochs: " + "é\n" * 20_000, field="spec.hyperparameters")
        raise InvalidConfigError("epochs 0: give at least 1", field="spec.hyperparameters.epochs")

    async def ListTrainingJobs(self, request, context):  # noqa: N802
        start = int(paging.page_cursor(request) or 0)
        size = paging.page_size(request)
        token = paging.next_page_token(request, str(start + size) if start + size < 10 else None)
        jobs = [training.TrainingJob(id=str(at)) for at in range(start, min(start + size, 10))]
        return training.ListTrainingJobsResponse(training_jobs=jobs, next_page_token=token)

    async def WriteUpload(self, requests, context):  # noqa: N802
        read = [request async for request in requests]
        upload = datasets.Upload(committed_bytes=len(read))
        return datasets.WriteUploadResponse(upload=upload)

    async def WatchTrainingJob(self, request, context):  # noqa: N802
        async for event in watch(cast(JobService, self.jobs), request.id, request.after_event):
            yield training.WatchTrainingJobResponse(event=event_to_proto(event))


class ServerThread:
    """A server in an event loop of its own, so that tests can be plain clients."""

    def __init__(self, settings: ServerSettings, jobs: MemoryJobs) -> None:
        self.jobs = jobs
        self.servicer = Servicer(jobs)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        specs = [
            ServiceSpec(trainer_grpc.add_TrainerServiceServicer_to_server, self.servicer, NAME)
        ]
        try:
            self.running = self._do(self._make(specs, settings))
            self._do(self.running.start())
        except BaseException:
            self._end_loop()
            raise
        self.address = self.running.address
        self._stopped = False

    async def _make(self, specs: Sequence[ServiceSpec], settings: ServerSettings) -> RunningServer:
        return RunningServer(specs, settings, cast(JobService, self.jobs))

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def stop(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._do(self.running.stop())
            self._end_loop()


class Authority:
    """Signs certificates, in files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._name_text = name
        self._cert = self._builder(self._name, self._key, (-1, 1)).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.cert = self._write(f"{name}.pem", self._cert.sign(self._key, hashes.SHA256()))

    def _builder(self, subject, key, days):
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
        )

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self.folder / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def issue(
        self, name: str, hosts: Sequence[str] = ("localhost",), days: tuple[float, float] = (-1, 1)
    ) -> tuple[Path, Path]:
        """Return the files of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [*map(x509.DNSName, hosts), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = self._builder(subject, key, days).add_extension(
            x509.SubjectAlternativeName(names if "localhost" in hosts else names[:-1]),
            critical=False,
        )
        certificate = builder.sign(self._key, hashes.SHA256())
        key_path = self.folder / f"{self._name_text}-{name}.key"
        key_path.touch(mode=0o600)
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return self._write(f"{self._name_text}-{name}.pem", certificate), key_path


SETTINGS = ServerSettings(port=0, metrics_port=None, grace=1.0)


@pytest.fixture
def start_server() -> Iterator[Callable[..., ServerThread]]:
    servers: list[ServerThread] = []

    def start(settings: ServerSettings = SETTINGS, jobs: MemoryJobs | None = None) -> ServerThread:
        servers.append(ServerThread(settings, jobs or MemoryJobs()))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def connect() -> Iterator[Callable[..., trainer_grpc.TrainerServiceStub]]:
    with contextlib.ExitStack() as stack:

        def connect(address: str, **settings) -> trainer_grpc.TrainerServiceStub:
            channel = open_channel(ClientSettings(address, timeout=10, **settings))
            stack.callback(channel.close)
            return trainer_grpc.TrainerServiceStub(channel)

        yield connect


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture
def secret_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(content: str, name: str = "tokens", mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.write_text(content)
        path.chmod(mode)
        return path

    return write
