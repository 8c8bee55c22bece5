"""What tests of the whole command line share: a workspace, and `ktt` called as a user calls it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import exporter.main
import trainer.main
from cli.main import run

GUIDE = Path.cwd() / "docs/add-a-model.md"

COLUMNS = ("--text", "title", "--classes", "category", "--sep", " > ")

TREE = {
    ("Sport", "Shoes"): ["running shoes", "trail shoes", "football boots", "tennis shoes"],
    ("Sport", "Balls"): ["football", "basket ball", "tennis ball", "volley ball"],
    ("Music", "Guitars"): ["electric guitar", "acoustic guitar", "bass guitar", "guitar strings"],
    ("Music", "Drums"): ["drum kit", "snare drum", "drum sticks", "cymbal"],
}


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


Ktt = Callable[..., Outcome]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace that nothing has written to."""
    return tmp_path / "workspace"


@pytest.fixture
def ktt(workspace: Path, capfd: pytest.CaptureFixture[str]) -> Ktt:
    """Return a function that runs `ktt` on the workspace."""

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = run(["--workspace", str(workspace), *map(str, arguments)])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


def rows(count: int = 160) -> list[tuple[str, tuple[str, ...]]]:
    """Return labelled texts that a model can learn."""
    generator = random.Random(0)
    leaves = list(TREE)
    return [
        (
            f"{generator.choice(TREE[leaf])} {generator.choice(['red', 'blue', 'new'])} {number}",
            leaf,
        )
        for number in range(count)
        for leaf in [leaves[number % len(leaves)]]
    ]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a CSV file of labelled texts."""
    file = tmp_path / "shop.csv"
    lines = ["title,category", *(f"{text},{' > '.join(path)}" for text, path in rows())]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def shop(ktt: Ktt, source: Path) -> str:
    """Import the dataset "shop" and return its name."""
    done = ktt("data", "import", source, "shop", *COLUMNS)
    assert done.code == 0, done.err
    return "shop"


class Server:
    """A trainer or an exporter in a process of its own, which can be killed and started again.

    Parameters
    ----------
    service : str
        "trainer" or "exporter".
    workspace : Path
    options : str
        More of its command line.
    """

    def __init__(self, service: str, workspace: Path, *options: str) -> None:
        self.port = free_port()
        program = {"trainer": trainer.main, "exporter": exporter.main}[service].__name__
        self._command = [sys.executable, "-m", program, "--workspace", str(workspace)]
        self._command += ["--port", str(self.port), "--no-metrics", *options]
        self._log = workspace.parent / f"{service}-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"localhost:{self.port}"

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        return self._log.read_text(encoding="utf-8")

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("localhost", self.port)):
                return
            time.sleep(0.05)
        raise AssertionError(f"{self._command} does not listen:\n{self.log}")

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, if it runs, and wait for its end."""
        if self._process is not None:
            self._process.send_signal(signum)
            self._process.wait(timeout=60)
            self._process = None


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Start servers, and end them with the block."""
    with contextlib.ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            server.start()
        yield


@dataclass(frozen=True)
class Services:
    """A trainer and an exporter on one workspace, and `ktt` as their client."""

    trainer: Server
    exporter: Server
    workspace: Path

    @property
    def options(self) -> list[str]:
        return ["--address", self.trainer.address, "--exporter-address", self.exporter.address]

    def command(self, *arguments: object) -> list[str]:
        """Return a command line for a process of its own."""
        return [sys.executable, "-m", "cli.main", *self.options, *map(str, arguments)]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("services")
    workspace = folder / "workspace"
    roots = folder / "allowed"
    roots.mkdir()
    trainer = Server("trainer", workspace, "--allowed-root", str(roots))
    exporter = Server("exporter", workspace)
    with running(trainer, exporter):
        yield Services(trainer, exporter, workspace)


@pytest.fixture
def remote(
    services: Services,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Ktt:
    """Return a function that runs `ktt` on the services, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = run([*services.options, *map(str, arguments)])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def remote_shop(remote: Ktt, source: Path) -> str:
    """Have the dataset "shop" at the trainer, anew."""
    done = remote("data", "import", source, "shop", *COLUMNS, "--replace")
    assert done.code == 0, done.err
    return "shop"


def environment() -> dict[str, str]:
    """Return the environment of programs that find the code where this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def install_model(folder: Path, model: str) -> dict[str, str]:
    """Leave what an installed package leaves beside its code, its entry point.

    Returns the environment of programs that find it.
    """
    metadata = folder / f"{model}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {model}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[ktt.models]\n{model} = {model}:load\n")
    found = environment()
    return {**found, "PYTHONPATH": os.pathsep.join([str(folder), found["PYTHONPATH"]])}


def copy_listing(model: str, installed: Path) -> int:
    """Write the files of a model that the guide prints, and return how many lines they have."""
    page = GUIDE.read_text(encoding="utf-8")
    files = re.findall(rf"^```python\n# ({model}/\S+)\n(.*?)^```", page, re.S | re.M)
    for name, code in files:
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        (installed / name).write_text(code, encoding="utf-8")
    return sum(len(code.splitlines()) for _, code in files)


@pytest.fixture
def trained(ktt: Ktt, shop: str, remote: Ktt, remote_shop: str) -> None:
    for call in (ktt, remote):
        assert call("train", "shop", "-m", "tfidf_hsgd", "-e", "2").code == 0
