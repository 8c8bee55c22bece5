"""A fake service that serves the page and a test's answers."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["CannedService", "canned_service"]

_FOLDER = Path(__file__).parent
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
#: Path prefix, as behind a proxy.
PREFIX = "/models/food"


class CannedService:
    """Answers of the service, and received requests.

    Attributes
    ----------
    answer : tuple of (int, bytes)
        Status and body of the next answers to ``predict_proba``.
    model : dict or None
        Answer of ``model``; None: 404.
    holding : threading.Event
        While it is not set, answers to ``predict_proba`` wait.
    questions : list of dict
        The received bodies, parsed.
    addresses : list of str
        All requested paths.
    """

    def __init__(self) -> None:
        self.answer = (200, b"{}")
        self.model: dict[str, Any] | None = None
        self.holding = threading.Event()
        self.holding.set()
        self.questions: list[dict[str, Any]] = []
        self.addresses: list[str] = []
        self.url = ""

    def predict(self, *predictions: tuple[list[str], float]) -> None:
        """Set the paths and probabilities of further answers."""
        rows = [{"path": path, "probability": share} for path, share in predictions]
        self.answer = (200, json.dumps({"predictions": rows}).encode())

    def wait_for_questions(self, count: int) -> None:
        """Wait until so many were received, at most a minute."""
        deadline = time.monotonic() + 60
        while len(self.questions) < count and time.monotonic() < deadline:
            time.sleep(0.01)


class _Handler(BaseHTTPRequestHandler):
    service: CannedService

    def do_GET(self) -> None:  # noqa: N802 (the base class calls it so)
        self.service.addresses.append(self.path)
        name = self.path.removeprefix(PREFIX)
        if name == "/model" and self.service.model is not None:
            self._send(200, json.dumps(self.service.model).encode(), "application/json")
            return
        wanted = "index.html" if name == "/try" else name.removeprefix("/try/") or "index.html"
        file = _FOLDER / wanted
        if name.startswith("/try") and file.parent == _FOLDER and file.suffix in _TYPES:
            body = file.read_bytes()
            # As in `ktt_serving.server`.
            if name == "/try/":
                body = body.replace(b'="try/', b'="')
            self._send(200, body, _TYPES[file.suffix])
        else:
            self._send(404, b"no such page", "text/plain")

    def do_POST(self) -> None:  # noqa: N802
        self.service.addresses.append(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, answer = self.service.answer  # before a test is notified, which may change it
        self.service.questions.append(json.loads(body))
        self.service.holding.wait(60)
        with contextlib.suppress(ConnectionError):  # the page may have cancelled it
            self._send(status, answer, "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'self'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def canned_service() -> Iterator[CannedService]:
    """Run a service on a free loopback port, behind a path prefix, during the body."""
    service = CannedService()
    handler = type("Handler", (_Handler,), {"service": service})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        service.url = f"http://127.0.0.1:{server.server_port}{PREFIX}/try"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield service
        finally:
            service.holding.set()
            server.shutdown()
