"""Bundles of all models, each served where there is nothing of KTT: they answer as `ktt predict`.

One dataset of real texts, trained and exported by the command line with monitoring; the services
run in environments made of the bundles' own requirements, and tell a monitor that listens here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import COLUMNS, environment, free_port, install_model
from ktt_core.reference import leaf_column_names
from ktt_core.workspace import Workspace
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder
from ktt_packing.client.environment import make_environment
from quickstart.icd10cm import labelled_texts

# The packer's environment and those of bundles are made first.
pytestmark = pytest.mark.timeout(1800)

ENCODER_MODELS = ["db_achmcnn", "db_ahmcnf", "db_bhcn", "db_bhcn_awx", "db_linear"]
TFIDF_MODELS = ["tfidf_hsgd", "tfidf_lsgd"]
MODELS = sorted([*ENCODER_MODELS, *TFIDF_MODELS])
# Two command lines at once, each with its part of the models.
PARTS = (["db_achmcnn", "db_bhcn", "db_linear"], ["db_ahmcnf", "db_bhcn_awx", *TFIDF_MODELS])
CATEGORIES, ROWS_EACH = 16, 24
TEXTS = 1000
DATASET = "icd"


@dataclass(frozen=True)
class Exported:
    """What two command lines made, and the texts that they answered."""

    workspace: Path
    texts: list[str]

    def bundle(self, model: str) -> Path:
        return self.workspace / "build" / f"{model}_{DATASET}"

    def predicted(self, model: str) -> list[dict[str, Any]]:
        """Return the best paths that `ktt predict` gave."""
        answers = json.loads((self.workspace / f"{model}.json").read_text())
        return [entry["predictions"][0] for entry in answers]


def ktt(workspace: Path, *arguments: object, env: Mapping[str, str] | None = None) -> str:
    command = [sys.executable, "-m", "cli.main", "--workspace", str(workspace)]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env=env or environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def write_source(file: Path) -> list[str]:
    """Write rows of some categories, and return texts of any."""
    by_path: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for text, path in labelled_texts():
        by_path[tuple(path)].append(text)
    large = [path for path, texts in by_path.items() if len(texts) >= 2 * ROWS_EACH]
    chosen = large[:: max(1, len(large) // CATEGORIES)][:CATEGORIES]
    rows = [(text, path) for path in chosen for text in by_path[path][:ROWS_EACH]]
    table = {"text": [text for text, _ in rows], "path": [list(path) for _, path in rows]}
    pq.write_table(pa.table(table), file)
    others = [text for path in chosen for text in by_path[path][ROWS_EACH:]]
    foreign = [texts[0] for texts in by_path.values()]
    texts = (others[: TEXTS // 2] + foreign[::3])[:TEXTS]
    assert len(texts) == TEXTS
    return texts


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("bundles")
    workspace = folder / "workspace"
    texts = write_source(folder / "icd.parquet")
    (folder / "texts.txt").write_text("\n".join(texts) + "\n")
    encoder = write_tiny_encoder(folder / "tiny", texts, width=64)
    rates = {"encoder_lr": 0.003, "classifier_lr": 0.01, "batch_size": 32, "epochs": 1}
    settings = folder / "hyperparameters.json"
    settings.write_text(json.dumps({model: rates for model in ENCODER_MODELS}))
    source = ("--text", "text", "--classes", "path")
    ktt(workspace, "data", "import", folder / "icd.parquet", DATASET, *source)
    given = ("--encoder", encoder, "--hyperparameters", settings)

    def make(models: list[str]) -> None:
        ktt(workspace, "train", DATASET, "-m", ",".join(models), *given, "-r")
        ktt(workspace, "export", DATASET, "-m", ",".join(models), "--bento")
        for model in models:
            answers = ktt(
                workspace, "predict", DATASET, "-m", model, "-f", folder / "texts.txt", "--json"
            )
            (workspace / f"{model}.json").write_text(answers)

    with ThreadPoolExecutor() as pool:
        list(pool.map(make, PARTS))
    return Exported(workspace, texts)


class Monitor:
    """Takes what a service tells its monitor."""

    def __init__(self) -> None:
        rows: list[list[float | None]] = []
        self.rows = rows

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                body = self.rfile.read(int(self.headers["Content-Length"]))
                rows.extend(json.loads(body)["data"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait_for(self, count: int) -> np.ndarray:
        end = time.monotonic() + 60
        while len(self.rows) < count:
            assert time.monotonic() < end, f"{len(self.rows)} rows of {count} came"
            time.sleep(0.05)
        assert {row[0] for row in self.rows} == {None}
        return np.array([row[1:] for row in self.rows], dtype=np.float64)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Client:
    """Asks a service, on one connection for each thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._local = threading.local()

    def ask(self, api: str, **question: object) -> Any:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection = self._local.connection
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"/{api}", json.dumps(question), headers)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, body
        return json.loads(body)


@contextlib.contextmanager
def served(inference: Path, monitor: Monitor, log: Path) -> Iterator[Client]:
    """Run a bundle's service as its image does, in an environment of its own requirements."""
    python = make_environment(inference / "requirements.txt")
    port = free_port()
    home = log.with_suffix("")
    home.mkdir()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, "start", "--port", str(port)],
            cwd=inference,
            # Nothing that leads to this repository.
            env={
                "PATH": os.defpath,
                "HOME": str(home),
                "BENTOML_HOME": str(home / "bentoml"),
                "BENTOML_GUNICORN_WORKERS": "1",
                "EVIDENTLY_PORT": str(monitor.port),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        client = Client(port)
        end = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError, AssertionError, http.client.HTTPException):
                client.ask("predict", text="ready?")
                break
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            client = Client(port)
            time.sleep(0.2)
        yield client
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.parametrize("model", MODELS)
def test_a_bundle_answers_as_the_model_and_tells_its_monitor(
    exported: Exported, tmp_path: Path, model: str
) -> None:
    # From elsewhere: not even the workspace is there.
    bundle = Path(shutil.copytree(exported.bundle(model), tmp_path / "bundle"))
    reference = pq.read_table(bundle / "monitoring/references.parquet")
    dataset = Workspace(exported.workspace).open_dataset(DATASET)
    compared = [text for texts, _ in dataset.split("test").iter_batches(64) for text in texts][:16]
    expected = exported.predicted(model)
    monitor = Monitor()
    try:
        with served(bundle / "inference", monitor, tmp_path / "log.txt") as client:
            monitor.wait_for(1)
            monitor.rows.clear()
            for text in compared:
                client.ask("predict", text=text)
            rows = monitor.wait_for(len(compared))
            with ThreadPoolExecutor(16) as pool:
                names = list(
                    pool.map(lambda text: client.ask("predict", text=text), exported.texts)
                )
                found = list(
                    pool.map(
                        lambda text: client.ask("predict_proba", text=text, top_k=1),
                        exported.texts[:100],
                    )
                )
    finally:
        monitor.close()
    assert names == ["\n".join(entry["path"]) for entry in expected]
    for answer, entry in zip(found, expected, strict=False):
        (best,) = answer["predictions"]
        assert best["path"] == entry["path"]
        assert best["probability"] == pytest.approx(entry["probability"], abs=2e-4)
    wanted = np.column_stack([reference[name] for name in reference.column_names[1:]])
    np.testing.assert_allclose(rows, wanted[: len(rows)], rtol=1e-3, atol=2e-4)
    log = (tmp_path / "log.txt").read_text(errors="replace")
    assert not [text for text in exported.texts if len(text) > 20 and text in log]


def test_a_bundle_is_the_folder_that_the_documents_draw(exported: Exported) -> None:
    columns = list(leaf_column_names(Workspace(exported.workspace).open_dataset(DATASET).taxonomy))
    for model in MODELS:
        bundle = exported.bundle(model)
        for name in (
            "README.md",
            "docker-compose.yaml",
            "docker-compose.gpu.yaml",
            "grafana/provisioning/dashboards/dashboard.json",
            "grafana/provisioning/dashboards/dashboard.yml",
            "grafana/provisioning/datasources/datasource.yml",
            "inference/bentoml.yml",
            "inference/bentoml-init.sh",
            "inference/Dockerfile",
            "inference/requirements.txt",
            "monitoring/Dockerfile",
            "monitoring/evidently.yaml",
            "monitoring/monitoring.py",
            "monitoring/references.parquet",
            "monitoring/requirements.txt",
            "prometheus/prometheus.yaml",
            "prometheus/alerts.yaml",
        ):
            assert (bundle / name).is_file(), name
        settings = (bundle / "monitoring/evidently.yaml").read_text().splitlines()
        assert json.loads(settings[-1].removeprefix("prediction: ")) == columns
        requirements = (bundle / "inference/requirements.txt").read_text()
        packages = set(re.findall(r"(?m)^([a-zA-Z0-9._-]+)==", requirements))
        assert not {"torch", "transformers", "scikit-learn", "scipy", "numba"} & packages
        assert ("onnxruntime" in packages) == (model in ENCODER_MODELS)


def test_a_model_from_outside_is_served_by_its_own_scorer_and_monitored_by_default(
    tmp_path: Path,
) -> None:
    workspace, monitor = tmp_path / "workspace", Monitor()
    found = install_model(tmp_path / "installed", "centroid")
    ktt(workspace, "data", "import", Path("examples/products.csv").absolute(), "products", *COLUMNS)
    ktt(workspace, "train", "products", "-m", "centroid", "-r", env=found)
    ktt(workspace, "export", "products", "-m", "centroid", "--bento", env=found)
    texts = ["noise cancelling headphones", "blue running shoes", "kettle", "?"]
    answers = ktt(workspace, "predict", "products", "-m", "centroid", *texts, "--json", env=found)
    wanted = [answer["predictions"][0] for answer in json.loads(answers)]
    bundle = Path(shutil.move(workspace / "build/centroid_products", tmp_path / "bundle"))
    board = json.loads(
        (bundle / "grafana/provisioning/dashboards/dashboard.json").read_text(encoding="utf-8")
    )
    assert (board["title"], board["uid"]) == (
        "KTT: Nearest centroid, on products",
        "ktt-centroid-products",
    )
    settings = (bundle / "monitoring/evidently.yaml").read_text(encoding="utf-8")
    assert re.search(r'^prediction: \["', settings.splitlines()[-1])
    try:
        with served(bundle / "inference", monitor, tmp_path / "log.txt") as client:
            for text, best in zip(texts, wanted, strict=True):
                (answer,) = client.ask("predict_proba", text=text, top_k=1)["predictions"]
                assert answer["path"] == best["path"]
                assert answer["probability"] == pytest.approx(best["probability"], abs=2e-4)
    finally:
        monitor.close()
