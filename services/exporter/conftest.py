"""A workspace with a dataset and trained models, and servers: in this process, or in their own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from exporter.handlers import Exporter
from exporter.job_kind import open_jobs
from exporter.servicer import exporter_service
from ktt.exporter.v1 import exports_pb2 as pb
from ktt.exporter.v1.exporter_service_pb2_grpc import ExporterServiceStub
from ktt_core.checkpoints.format import read_arrays, write_arrays
from ktt_core.config import build_config
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.registry import get_model
from ktt_core.workspace import Workspace
from ktt_rpc.channel import ClientSettings, open_channel
from ktt_rpc.server import RunningServer
from ktt_rpc.settings import ServerSettings

TIME = "2026-01-31T12:34:56"
MODELS = ("tfidf_hsgd", "tfidf_lsgd")

_TREE = {
    "Sport > Shoes": ["running shoes", "trail shoes", "football boots", "tennis shoes"],
    "Sport > Balls": ["football", "basket ball", "tennis ball", "volley ball"],
    "Music > Guitars": ["electric guitar", "acoustic guitar", "bass guitar", "guitar strings"],
    "Music > Drums": ["drum kit", "snare drum", "drum sticks", "cymbal"],
}


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with the dataset "shop" and a checkpoint of each model on it."""
    root = tmp_path_factory.mktemp("trained")
    source = root / "shop.csv"
    lines = [
        f"{text} {colour} {number},{path}"
        for number in range(5)
        for colour in ("red", "blue")
        for path, texts in _TREE.items()
        for text in texts
    ]
    source.write_text("\n".join(["title,category", *lines]) + "\n")
    workspace = Workspace(root / "workspace")
    options = ImportOptions(text="title", classes="category", sep=" > ")
    import_dataset(source, workspace.dataset_folder("shop"), options)
    dataset = workspace.open_dataset("shop")
    for name in MODELS:
        model_class = get_model(name)
        config = build_config(model_class.config_class, name, {"epochs": 1, "n_jobs": 1})
        load, preprocessor = model_class.get_dataloader_func(), model_class.get_preprocessor(config)
        model_class(dataset.taxonomy, config).fit(
            load(dataset.split("train"), preprocessor, config, shuffle=True),
            load(dataset.split("val"), preprocessor, config),
            best_path=workspace.weights_folder(name, "shop") / f"best_{TIME}.safetensors",
        )
    return workspace.root


@pytest.fixture
def workspace(trained: Path, tmp_path: Path) -> Path:
    """Return a copy of the trained workspace, to be changed."""
    return Path(shutil.copytree(trained, tmp_path / "workspace"))


def import_other_classes(workspace: Path, tmp_path: Path, roots: tuple[str, ...]) -> None:
    """Import "shop" anew: the texts it had, under other classes."""
    texts = Workspace(workspace).open_dataset("shop").split("test").texts()
    source = tmp_path / "other.csv"
    lines = [
        f"{text},{roots[number % len(roots)]} > leaf {number % 2}"
        for number, text in enumerate(texts * 8)
    ]
    source.write_text("\n".join(["title,category", *lines]) + "\n")
    options = ImportOptions(text="title", classes="category", sep=" > ")
    import_dataset(source, workspace / "datasets/shop", options, replace=True)


@dataclass(frozen=True)
class Served:
    """An exporter, its server's address, and its calls."""

    exporter: Exporter
    address: str
    calls: ExporterServiceStub


@contextlib.contextmanager
def serving(exporter: Exporter) -> Iterator[str]:
    """Serve an exporter in a thread of its own, so that tests can be plain clients."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def do(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(60)

    async def make() -> RunningServer:
        settings = ServerSettings(port=0, metrics_port=None, grace=0.4, rate_limit=0)
        services = [exporter_service(exporter)]
        return RunningServer(services, settings, exporter.jobs, on_start=exporter.start)

    try:
        server = do(make())
        do(server.start())
        try:
            yield server.address
        finally:
            do(server.stop())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextlib.contextmanager
def client(workspace: Path) -> Iterator[Served]:
    """Serve a workspace, and connect."""
    exporter = Exporter(workspace, open_jobs(workspace, queue_limit=3))
    with (
        serving(exporter) as address,
        open_channel(ClientSettings(address, timeout=10)) as channel,
    ):
        yield Served(exporter, address, ExporterServiceStub(channel))


@pytest.fixture
def served(workspace: Path) -> Iterator[Served]:
    """Serve a workspace that may be changed."""
    with client(workspace) as served:
        yield served


@pytest.fixture(scope="module")
def resting(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a workspace that stays as it is."""
    copy = tmp_path_factory.mktemp("resting") / "workspace"
    with client(Path(shutil.copytree(trained, copy))) as served:
        yield served


def refused(call: Callable[..., Any], *arguments: Any) -> tuple[str, list[str], str]:
    """Return the code, the fields and the message of a call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments)
    status = rpc_status.from_call(caught.value)
    assert status is not None, "an error has details"
    fields = []
    for detail in status.details:
        part = error_details_pb2.BadRequest()
        if detail.Unpack(part):
            fields += [violation.field for violation in part.field_violations]
    return caught.value.code().name, fields, caught.value.details()


# -- a server in a process of its own --------------------------------------------------------------

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
        """Return what was logged so far; gRPC's C core may add a line of its own at the end."""
        lines = self.log.read_bytes().splitlines()
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    @contextlib.contextmanager
    def connect(self) -> Iterator[ExporterServiceStub]:
        """Return the server's calls, once it listens."""
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
