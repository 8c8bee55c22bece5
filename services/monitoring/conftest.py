"""Fixtures: a small model's reference set, rows as its inference service sends them, a monitor."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

# Starting takes seconds, and much longer on a busy machine.
PATIENCE_SECONDS = 400.0

CLASSES = ("Shirts", "Shoes", "Phones > Accessories", "Bikes > Accessories")
N_FEATURES = 3


@dataclass
class Model:
    """Draws features and scores as a model would give them."""

    seed: int = 0
    classes: tuple[str, ...] = CLASSES
    n_features: int = N_FEATURES
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def numbers(self, n: int, shift: float = 0.0, target: Any = None) -> np.ndarray:
        """Features and scores; `shift` moves the features."""
        k = len(self.classes)
        features = self.rng.normal(size=(n, self.n_features)) + shift
        scores = self.rng.dirichlet(np.full(k, 0.3), size=n)
        if target is not None:
            right = self.rng.random(n) < 0.9
            scores[np.arange(n)[right], target[right]] += 1.5
            scores /= scores.sum(axis=1, keepdims=True)
        return np.concatenate([features, scores], axis=1).astype(np.float32)

    def rows(self, n: int, shift: float = 0.0) -> list[list[Any]]:
        """Rows without their true class."""
        target = self.rng.integers(0, len(self.classes), n)
        return [[None, *map(float, row)] for row in self.numbers(n, shift, target)]

    def reference(self, n: int) -> pa.Table:
        """A reference set."""
        target = self.rng.integers(0, len(self.classes), n)
        numbers = self.numbers(n, 0.0, target)
        names = ["targets", *map(str, range(self.n_features)), *self.classes]
        return pa.table(
            [pa.array([self.classes[t] for t in target]), *map(pa.array, numbers.T.copy())], names
        )


def write_config(folder: Path, table: pa.Table, prediction: Any, **service: Any) -> Path:
    """Write a reference set and the `evidently.yaml` that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "references.parquet")
    document = {
        "service": {"reference_path": "./references.parquet", **service},
        "prediction": prediction,
    }
    path = folder / "evidently.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return path


@dataclass
class Answer:
    """What the service answered."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Monitor:
    """A monitor in its own process."""

    def __init__(self, config: Path, *options: str) -> None:
        self.log_path = config.parent / "log.txt"
        self._log = self.log_path.open("ab")
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "monitoring.main",
                "--config",
                str(config),
                "--port=0",
                *options,
            ],
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        self._begin = self.log_path.stat().st_size
        self.port = 0

    def wait_listening(self) -> None:
        """Wait until it accepts rows."""

        def listens() -> bool:
            found = re.findall(r"http://127\.0\.0\.1:(\d+)", self.log()[self._begin :])
            self.port = int(found[-1]) if found else 0
            assert self.process.poll() is None, self.log()
            return bool(self.port)

        wait_until(listens)

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def get(self, path: str) -> Answer:
        return self.send(urllib.request.Request(self.url(path)))

    def post(self, path: str, body: Any) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        return self.send(urllib.request.Request(self.url(path), data, headers))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def send(self, request: urllib.request.Request) -> Answer:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE_SECONDS) as answer:
                return Answer(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), dict(error.headers))

    def metrics(self) -> dict[str, float]:
        """All samples, by name and labels as Prometheus writes them."""
        lines = self.get("/metrics").body.decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name.removeprefix("ktt_monitoring_"): float(value) for name, value in pairs}

    def wait_computed(self, times: int = 1) -> dict[str, float]:
        """Wait for `times` successful computations and no row waiting; return the metrics."""
        seen: dict[str, float] = {}

        def computed() -> bool:
            seen.clear()
            seen.update(self.metrics())
            failed = seen['computations_total{outcome="failed"}']
            assert not failed, self.log()
            done = seen['computations_total{outcome="succeeded"}']
            return done >= times and seen["lag_seconds"] == 0

        wait_until(computed)
        return seen

    def kill(self) -> None:
        """Kill it, as the kernel does when memory runs out."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        self._log.close()


@contextlib.contextmanager
def monitor(config: Path, *options: str) -> Iterator[Monitor]:
    """Run a monitor inside a ``with`` block."""
    running = Monitor(config, *options)
    try:
        running.wait_listening()
        yield running
    finally:
        running.close()


def wait_until(condition: Any) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture()
def model() -> Model:
    return Model()


@pytest.fixture()
def config(tmp_path: Path, model: Model) -> Path:
    """A configuration with the two default monitors and a computation every second."""
    return write_config(
        tmp_path / "bundle",
        model.reference(300),
        list(model.classes),
        calculation_period_sec=1,
    )
