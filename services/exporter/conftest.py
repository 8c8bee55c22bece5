"""A workspace with a dataset and two trained models, and an exporter's server in this process."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exporter.handlers import Exporter
from exporter.job_kind import open_jobs
from exporter.servicer import exporter_service
from ktt.exporter.v1.exporter_service_pb2_grpc import ExporterServiceStub
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
