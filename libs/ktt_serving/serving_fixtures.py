"""Small models as artifacts, and servers of bundles with them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_core.tfidf.vocabulary import write_vocabulary
from ktt_core.tfidf.weights import NodeLayout

LIBS = Path(__file__).resolve().parent.parent
TAXONOMY = Taxonomy.from_paths([("a", "b", "c"), ("a", "b", "d"), ("a", "e"), ("f",), ("g", "h")])
LEARNED = ["running shoes for men", "tennis balls", "guitars", "a novel", "men running"]
TEMPERATURE = 0.8


def write_tfidf_artifacts(folder: Path) -> Path:
    """Write a model with deterministic weights."""
    folder.mkdir(parents=True)
    vectorizer = TfidfVectorizer(char_ngrams=(3, 3), char_min_df=1).fit([LEARNED])
    layout = NodeLayout(TAXONOMY)
    feature, node = np.nonzero(
        np.add.outer(np.arange(vectorizer.n_features), np.arange(layout.n_nodes)) % 3 > 0
    )
    np.savez(
        folder / "weights.npz",
        feature_start=np.searchsorted(feature, np.arange(vectorizer.n_features + 1)),
        pair_node=node,
        weights=2 * np.sin(np.arange(layout.child_count[node].sum()) ** 2 % 997),
        bias=np.cos(np.arange(TAXONOMY.n_classes)),
    )
    params = {"kind": "hierarchical", "loss": "softmax"}
    (folder / "weights.json").write_text(json.dumps(params))
    write_vocabulary(vectorizer, folder)
    _describe(folder, "tfidf_hsgd", "tfidf")
    return folder


def write_onnx_artifacts(folder: Path, quantized: bool = False) -> Path:
    """Write an encoder model from the repository's exported graph, or from its quantized one."""
    folder.mkdir(parents=True)
    data = LIBS / "ktt_models" / "pytorch" / "onnx" / "testdata"
    graph = "model.int8.onnx" if quantized else "model.onnx"
    for name in (graph, "tokenizer.json"):
        shutil.copyfile(data / name, folder / name)
    more = {"graph": graph, "quantized": "int8"} if quantized else {}
    _describe(folder, "db_achmcnn", "onnx", max_length=12, **more)
    return folder


def onnx_answers() -> dict[str, Any]:
    """Return texts and the probabilities that the encoder model gave them when it was exported."""
    file = LIBS / "ktt_models" / "pytorch" / "onnx" / "testdata" / "answers.json"
    answers: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return answers


def _describe(folder: Path, model: str, kind: str, **more: Any) -> None:
    hierarchy = {
        "format_version": 1,
        "taxonomy": TAXONOMY.to_json(),
        "leaf_paths": [list(path) for path in TAXONOMY.leaf_paths],
    }
    (folder / "hierarchy.json").write_text(json.dumps(hierarchy))
    description = {"format_version": 1, "model": model, "kind": kind, "temperature": TEMPERATURE}
    (folder / "model.json").write_text(json.dumps({**description, **more}))


def free_port() -> int:
    """Return a free port of the loopback address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A bundle's service in separate processes."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, home: Path) -> None:
        self.process, self.port, self.home = process, port, home

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Send bytes as they are and anything else as JSON; returns status, body, headers."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._exchange("POST", path, content, headers)

    def get(self, path: str) -> tuple[int, Any, dict[str, str]]:
        """Fetch a page; returns status, body, headers."""
        return self._exchange("GET", path, None, {})

    def metrics(self) -> dict[str, float]:
        """Return samples by name and labels."""
        text = self.get("/metrics")[1]
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        return {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines)}

    def logs(self) -> str:
        """Return all files that the service has written, except metrics."""
        return "\n".join(
            path.read_text(errors="replace")
            for path in [self.home / "out", *self.home.rglob("*.log")]
        )

    def workers(self) -> list[int]:
        """Return the worker processes."""
        import psutil

        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                # Those of the model's server, not of the batching process.
                if any("onnx" in m.path or "Stemmer" in m.path for m in child.memory_maps()):
                    found.append(child.pid)
        return found

    def stop(self) -> None:
        """Stop it as a container runtime does, and wait."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content: Any = response.read()
            found = {name.lower(): value for name, value in response.getheaders()}
            if found.get("content-type") == "application/json":
                content = json.loads(content)
            elif found.get("content-type", "").startswith("text/"):
                content = content.decode()
            return response.status, content, found
        finally:
            connection.close()


@contextlib.contextmanager
def serving(inference: Path, home: Path, *command: str, **environment: str) -> Iterator[Server]:
    """Run a bundle's service, without access to this repository's packages."""
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    run = command or ("-m", "bentoml", "serve-gunicorn", "./", "--workers", "2")
    variables = {
        "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", ""),
        "HOME": str(home),
        "BENTOML_HOME": str(home / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
        "OMP_NUM_THREADS": "1",
        # Where the test's own packages are; none of ours is among them but the bundle's wheel.
        "PYTHONPATH": os.pathsep.join(
            [
                str(_installed_wheel(inference, home / "site-packages")),
                *(path for path in sys.path if path and "site-packages" in path),
            ]
        ),
        **environment,
    }
    with open(home / "out", "wb") as out:
        process = subprocess.Popen(
            [sys.executable, *run, "--port", str(port)],
            cwd=inference,
            env=variables,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, port, home)
    try:
        _wait_until_up(server)
        yield server
    finally:
        server.stop()


def _installed_wheel(inference: Path, target: Path) -> Path:
    """Install a bundle's wheel into a folder, as one whose .pth files Python reads at its start."""
    (wheel,) = (inference / "wheels").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    code = f"import site\nsite.addsitedir({str(target)!r})\n"
    (target / "sitecustomize.py").write_text(code, encoding="utf-8")
    return target


def _wait_until_up(server: Server) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise AssertionError(f"the service ended:\n{server.logs()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.get("/healthz")[0] == 200:
                return
        time.sleep(0.1)
    raise AssertionError(f"the service did not come up:\n{server.logs()}")


class FakeMonitor:
    """A fake monitoring service, which accepts or refuses rows."""

    def __init__(self, port: int = 0) -> None:
        self.bodies: list[Any] = []
        self.status = 200
        self.answer = b""
        self.hanging = threading.Event()
        self.hanging.set()
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # noqa: N802
                size = int(self.headers["Content-Length"])
                body = self.rfile.read(size)
                if len(body) < size:
                    return  # who sent it was killed
                monitor.hanging.wait(60)
                if monitor.status == 200:
                    monitor.bodies.append((self.path, json.loads(body)))
                self.send_response(monitor.status)
                self.send_header("Content-Length", str(len(monitor.answer)))
                self.end_headers()
                self.wfile.write(monitor.answer)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def ids(self) -> list[str]:
        """Ids of all accepted rows."""
        return [number for _, body in list(self.bodies) for number in body["ids"]]

    def wait_for(self, rows: int, seconds: float = 60) -> None:
        """Wait until so many rows were accepted."""
        deadline = time.monotonic() + seconds
        while len(self.ids) < rows and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(self.ids) >= rows, f"{len(self.ids)} of {rows} rows came"

    def close(self) -> None:
        """Stop listening."""
        self.hanging.set()
        self._server.shutdown()
        self._server.server_close()
