"""A real server, killed, stopped, cancelled, short of room, and asked by clients of all kinds."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from exporter.conftest import TIME
from ktt.exporter.v1 import exports_pb2 as pb
from ktt.exporter.v1.exporter_service_pb2_grpc import ExporterServiceStub
from ktt.jobs.v1 import jobs_pb2
from ktt_core.checkpoint import read_arrays, write_arrays

# Models from outside, which do with their exports what no model should.
_PACKAGE = '''
import os, time
from pathlib import Path
from ktt_core.registry import register
from ktt_models.tfidf_hsgd.tfidf_hsgd import TfidfHSGD


class Slow(TfidfHSGD):
    """Says that it has begun, and goes on when it may."""

    def export_onnx(self, folder):
        super().export_onnx(folder)
        signals = Path(os.environ["SIGNALS"])
        (signals / f"begun-{os.getpid()}").touch()
        while not (signals / "go").exists():
            time.sleep(0.01)


class Tampered(TfidfHSGD):
    """Writes another model's answers."""

    def export_onnx(self, folder):
        self.temperature *= 1.001
        super().export_onnx(folder)
        self.temperature /= 1.001


class Hoarder(TfidfHSGD):
    """Takes more room than there is."""

    def export_onnx(self, folder):
        super().export_onnx(folder)
        with open(folder / "hoard", "wb") as file:
            for _ in range(64):
                file.write(bytes(1 << 20))


for kind in (Slow, Tampered, Hoarder):
    register(kind.__name__.lower(), display_name="", framework="test")(lambda kind=kind: kind)
'''
_START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); " + (
    "from exporter.main import main; main()"
)


class Server:
    """An exporter's process."""

    def __init__(self, workspace: Path, folder: Path, *options: str, file_limit: int = 0) -> None:
        self.log = folder / f"log-{time.monotonic_ns()}"
        path = json.dumps([str(folder / "installed"), *map(str, sys.path)])
        arguments = ["--workspace", str(workspace), "--port", "0", "--no-metrics", *options]

        def limit() -> None:
            if file_limit:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, path, *arguments],
                stderr=log,
                env={**os.environ, "SIGNALS": str(folder / "signals"), "OMP_NUM_THREADS": "1"},
                preexec_fn=limit,
            )

    def lines(self) -> list[dict[str, Any]]:
        """Return what was logged so far."""
        return [json.loads(line) for line in self.log.read_bytes().splitlines() if line]

    @contextlib.contextmanager
    def connect(self) -> Iterator[ExporterServiceStub]:
        """Give the server's calls, once it listens."""
        wait_for(lambda: self.process.poll() is not None or b"listening on" in self.read())
        assert self.process.poll() is None, self.read().decode()
        self.address = next(line["address"] for line in self.lines() if "address" in line)
        with grpc.insecure_channel(self.address) as channel:
            yield ExporterServiceStub(channel)

    def read(self) -> bytes:
        return self.log.read_bytes()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


Start = Callable[..., Server]


@pytest.fixture
def start(workspace: Path, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a server on the workspace, which has the odd models too."""
    metadata = tmp_path / "installed/odd-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[ktt.models]\nodd = odd\n")
    (tmp_path / "installed/odd.py").write_text(textwrap.dedent(_PACKAGE))
    (tmp_path / "signals").mkdir()
    name = f"best_{TIME}.safetensors"
    found = read_arrays(workspace / "weights/tfidf_hsgd/shop" / name, "tfidf_hsgd")
    for model in ("slow", "tampered", "hoarder"):
        target = workspace / "weights" / model / "shop" / name
        target.parent.mkdir(parents=True)
        write_arrays(target, {**found[0], "model": model}, found[1])
    servers: list[Server] = []

    def start(*options: str, file_limit: int = 0) -> Server:
        servers.append(Server(workspace, tmp_path, *options, file_limit=file_limit))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def wait_for(condition: Callable[[], Any], seconds: float = 180.0) -> Any:
    """Return what a condition gives, once it gives something."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
    return found


def create(calls: ExporterServiceStub, model: str) -> str:
    spec = pb.ExportSpec(dataset="shop", model=model, format=pb.EXPORT_FORMAT_ONNX)
    return calls.CreateExportJob(pb.CreateExportJobRequest(spec=spec)).export_job.id


def ended(calls: ExporterServiceStub, job_id: str) -> pb.ExportJob:
    """Return a job when it has ended."""
    for _ in calls.WatchExportJob(pb.WatchExportJobRequest(id=job_id), timeout=180):
        pass
    return get(calls, job_id)


def get(calls: ExporterServiceStub, job_id: str) -> pb.ExportJob:
    return calls.GetExportJob(pb.GetExportJobRequest(id=job_id)).export_job


def begun(tmp_path: Path) -> set[str]:
    """Return the processes that have begun a slow export."""
    return {path.name for path in (tmp_path / "signals").glob("begun-*")}


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def leftovers(workspace: Path) -> list[Path]:
    return list((workspace / "outputs").glob(".tmp-*"))


def test_a_server_killed_in_the_middle_finishes_the_export_once_it_is_back(
    start: Start, workspace: Path, tmp_path: Path
) -> None:
    server = start()
    with server.connect() as calls:
        job_id = create(calls, "slow")
        first = wait_for(lambda: begun(tmp_path))
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)
    # Its worker dies with it.
    (process,) = first
    wait_for(lambda: not Path("/proc", process.removeprefix("begun-")).exists(), 10)
    assert not (workspace / "outputs/slow_shop").exists()
    with start().connect() as calls:
        wait_for(lambda: len(begun(tmp_path)) == 2)
        assert leftovers(workspace), "the export that runs"
        (tmp_path / "signals/go").touch()
        job = ended(calls, job_id)
        assert job.status.state == jobs_pb2.JOB_STATE_SUCCEEDED
        assert job.status.attempt == 2
        events = [
            response.event
            for response in calls.WatchExportJob(pb.WatchExportJobRequest(id=job_id), timeout=10)
        ]
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        download = list(calls.DownloadArtifact(pb.DownloadArtifactRequest(export_job_id=job_id)))
    assert len(begun(tmp_path)) == 2
    archive = b"".join(part.chunk for part in download)
    assert hashlib.sha256(archive).hexdigest() == download[0].start.sha256
    assert not leftovers(workspace)


def test_a_worker_that_is_killed_fails_its_job_alone(
    start: Start, workspace: Path, tmp_path: Path
) -> None:
    with start().connect() as calls:
        job_id = create(calls, "slow")
        (process,) = wait_for(lambda: begun(tmp_path))
        os.kill(int(process.removeprefix("begun-")), signal.SIGKILL)
        job = ended(calls, job_id)
        assert job.status.state == jobs_pb2.JOB_STATE_FAILED
        assert (job.status.error.type, job.status.error.signal) == ("WorkerDied", "SIGKILL")
        assert not (workspace / "outputs/slow_shop").exists()
        wait_for(lambda: not leftovers(workspace), 10)
        other = ended(calls, create(calls, "tfidf_hsgd"))
        assert other.status.state == jobs_pb2.JOB_STATE_SUCCEEDED


def test_a_server_that_is_told_to_stop_goes_on_with_its_exports_later(
    start: Start, workspace: Path, tmp_path: Path
) -> None:
    server = start("--grace", "2")
    with server.connect() as calls:
        job_id = create(calls, "slow")
        wait_for(lambda: begun(tmp_path))
        assert server.stop() == 0
    assert not leftovers(workspace)
    (tmp_path / "signals/go").touch()
    with start().connect() as calls:
        assert ended(calls, job_id).status.state == jobs_pb2.JOB_STATE_SUCCEEDED


def test_a_cancelled_export_ends_within_two_seconds_and_publishes_nothing(
    start: Start, workspace: Path, tmp_path: Path
) -> None:
    with start().connect() as calls:
        running, waiting = create(calls, "slow"), create(calls, "tfidf_hsgd")
        wait_for(lambda: begun(tmp_path))
        assert get(calls, waiting).status.state == jobs_pb2.JOB_STATE_QUEUED
        before = time.monotonic()
        for job_id in (waiting, running):
            calls.CancelExportJob(pb.CancelExportJobRequest(id=job_id))
        jobs = [ended(calls, job_id) for job_id in (running, waiting)]
        assert time.monotonic() - before < 2.0
        assert {job.status.state for job in jobs} == {jobs_pb2.JOB_STATE_CANCELLED}
        (tmp_path / "signals/go").touch()
        time.sleep(0.2)
    assert {path.name for path in (workspace / "outputs").glob("*")} <= {".lock"}


def test_a_model_that_answers_otherwise_is_not_published(start: Start, workspace: Path) -> None:
    with start().connect() as calls:
        job = ended(calls, create(calls, "tampered"))
        assert job.status.state == jobs_pb2.JOB_STATE_FAILED
        assert job.status.error.type == "JobFailedError"
        assert "does not answer as its checkpoint does" in job.status.error.message
        assert not job.HasField("result")
        assert not (workspace / "outputs/tampered_shop").exists()
        wait_for(lambda: not leftovers(workspace), 10)
        with pytest.raises(grpc.RpcError) as caught:
            list(calls.DownloadArtifact(pb.DownloadArtifactRequest(export_job_id=job.id)))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_without_room_the_older_export_stays(start: Start, workspace: Path, tmp_path: Path) -> None:
    # An older export of the same: that of another model, under its name.
    server = start()
    with server.connect() as calls:
        ended(calls, create(calls, "tfidf_hsgd"))
        assert server.stop() == 0
    older = (workspace / "outputs/tfidf_hsgd_shop").rename(workspace / "outputs/hoarder_shop")
    manifest = json.loads((older / "manifest.json").read_text())
    (older / "manifest.json").write_text(json.dumps({**manifest, "model": "hoarder"}))
    before = contents(older)
    with start(file_limit=32 << 20).connect() as calls:
        job = ended(calls, create(calls, "hoarder"))
        assert job.status.state == jobs_pb2.JOB_STATE_FAILED
        assert job.status.error.type == "ResourceExhaustedError"
        wait_for(lambda: not leftovers(workspace), 10)
        assert contents(older) == before
        assert ended(calls, create(calls, "tfidf_lsgd")).result.path == "outputs/tfidf_lsgd_shop"


def test_a_second_server_on_the_workspace_is_refused(start: Start) -> None:
    with start().connect():
        second = start()
        assert second.process.wait(60) == 1
        (line,) = [line for line in second.lines() if "cannot start" in json.dumps(line)]
        assert "exporter" in json.dumps(line)


def test_a_client_that_knows_nothing_finds_and_makes_all_calls(start: Start) -> None:
    server = start()
    with server.connect(), grpc.insecure_channel(server.address) as channel:
        client = Reflected(channel)
        assert "ktt.exporter.v1.ExporterService" in client.services()
        call = client.service("ktt.exporter.v1.ExporterService")
        spec = {"dataset": "shop", "model": "tfidf_lsgd", "format": "EXPORT_FORMAT_ONNX"}
        (created,) = call("CreateExportJob", {"spec": spec})
        job_id = created["exportJob"]["id"]
        events = call("WatchExportJob", {"id": job_id})
        assert events[-1]["event"]["state"] == "JOB_STATE_SUCCEEDED"
        (job,) = call("GetExportJob", {"id": job_id})
        assert job["exportJob"]["result"]["manifest"]["parity"]["topPathAgreement"] == 1
        start_part, *chunks = call("DownloadArtifact", {"exportJobId": job_id})
        assert start_part["start"]["fileName"] == "tfidf_lsgd_shop.tar"
        assert chunks
        texts = {"dataset": "shop", "model": "tfidf_lsgd", "texts": ["tennis ball", "drum kit"]}
        (answered,) = call("Predict", texts)
        assert [answer["paths"][0]["classes"] for answer in answered["answers"]] == [
            ["Sport", "Balls"],
            ["Music", "Drums"],
        ]


class Reflected:
    """A client that learns every message and call from the server."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        self._pool = descriptor_pool.DescriptorPool()
        self._known: set[str] = set()

    def services(self) -> list[str]:
        answer = self._ask(list_services="")
        return [service.name for service in answer.list_services_response.service]

    def service(self, name: str) -> Callable[[str, dict[str, Any]], list[dict[str, Any]]]:
        self._learn(self._ask(file_containing_symbol=name))
        described = self._pool.FindServiceByName(name)

        def call(method_name: str, request: dict[str, Any]) -> list[dict[str, Any]]:
            method = described.FindMethodByName(method_name)
            message = message_factory.GetMessageClass(method.input_type)()
            json_format.ParseDict(request, message)
            make = (
                self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
            )
            made = make(
                f"/{name}/{method_name}",
                type(message).SerializeToString,
                message_factory.GetMessageClass(method.output_type).FromString,
            )(message, timeout=180)
            answers = made if method.server_streaming else [made]
            return [json_format.MessageToDict(answer) for answer in answers]

        return call

    def _ask(self, **question: str) -> reflection_pb2.ServerReflectionResponse:
        request = reflection_pb2.ServerReflectionRequest(**question)
        return next(self._stub.ServerReflectionInfo(iter([request])))

    def _learn(self, answer: reflection_pb2.ServerReflectionResponse) -> None:
        for content in answer.file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(content)
            if file.name in self._known:
                continue
            self._known.add(file.name)
            for needed in file.dependency:
                if needed not in self._known:
                    self._learn(self._ask(file_by_filename=needed))
            self._pool.Add(file)


def test_the_help_explains_every_option() -> None:
    code = f"import sys; sys.path[:] = {sys.path!r}; from exporter.main import main; main(['-h'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for option, variable in (
        ("--workspace", "KTT_WORKSPACE"),
        ("--workers", "KTT_WORKERS"),
        ("--queue-limit", "KTT_QUEUE_LIMIT"),
        ("--retention-days", "KTT_RETENTION_DAYS"),
        ("--model-cache", "KTT_MODEL_CACHE"),
        ("--port", "KTT_LISTEN_PORT"),
        ("--tls-cert", "KTT_TLS_CERT"),
    ):
        assert option in done.stdout
        assert variable in done.stdout
    assert "50052" in done.stdout


def test_a_workspace_that_is_a_file_is_a_wrong_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = f"import sys; sys.path[:] = {sys.path!r}; from exporter.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--workspace", str(tmp_path / "file")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "is a file" in done.stderr
