"""Serving as the original project does it: the comparison, written for this benchmark.

One text a call, padded to the greatest length, through torch as it comes; the best class of each
level; and the row for the monitor posted before the answer is sent. Two processes answer, each one
request at a time, as the original's gunicorn workers did. There is no BentoML and no Flask around
it, only the standard library's server over kept connections, so that what is measured is the design
and not the framework, and is rather faster than the original.

``original.py MODEL CHECKPOINT PORT MONITOR_PORT WORKERS``
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class OriginalWay:
    """The model and what is done with a text.

    Parameters
    ----------
    model_id : str
    checkpoint : Path
    monitor_port : int
    """

    def __init__(self, model_id: str, checkpoint: Path, monitor_port: int) -> None:
        import torch

        from ktt_core.registry import get_model

        self.torch = torch
        model: Any = get_model(model_id).from_checkpoint(checkpoint)
        self.model = model
        self.network = model.network.eval()
        self.tokenizer = model.preprocessor
        self.max_len = int(model.config.max_len)
        self.monitor_port = monitor_port
        # A worker has one request at a time, and the first that came is the next.
        self.turns = ThreadPoolExecutor(1)

    def __call__(self, text: str) -> str:
        """Return the class names of a text, one a line."""
        return self.turns.submit(self._answer, text).result()

    def _answer(self, text: str) -> str:
        import numpy as np

        from ktt_core.decoding import decode, leaf_log_proba
        from ktt_core.reference import pool_features

        tokens = self.tokenizer([text])
        padded = {}
        for name in ("input_ids", "attention_mask"):
            row = np.asarray(tokens[name])[0]
            whole = np.zeros((1, self.max_len), dtype=np.int64)
            whole[0, : len(row)] = row
            padded[name] = self.torch.from_numpy(whole)
        with self.torch.no_grad():
            features = self.network.features(padded)
            levels = [level.numpy() for level in self.network.level_scores(features)]
        taxonomy = self.model.taxonomy
        proba = np.exp(leaf_log_proba(levels, taxonomy, self.model.temperature))
        cells = [*pool_features(features.numpy())[0].tolist(), *proba[0].tolist()]
        self._post({"data": [[None, *cells]]})
        best = next(iter(decode(levels, taxonomy).iter_predictions()))[0]
        return "\n".join(best.path)

    def _post(self, rows: dict[str, Any]) -> None:
        # A connection for each, as ``requests.post`` makes it.
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.monitor_port)) as to:
            headers = {"Content-Type": "application/json"}
            to.request("POST", "/iterate", json.dumps(rows), headers)
            to.getresponse().read()


class _Handler(BaseHTTPRequestHandler):
    way: OriginalWay
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # noqa: N802 (the base class calls it so)
        self._send(b"ready")

    def do_POST(self) -> None:  # noqa: N802
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(json.dumps(self.way(body["text"])).encode())

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def serve(model_id: str, checkpoint: Path, port: int, monitor_port: int, workers: int) -> None:
    """Answer until this process is ended."""
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    # Before torch is imported, whose threads do not survive it.
    children: list[int] = []
    for _ in range(workers - 1):
        child = os.fork()
        if child == 0:
            children = []
            break
        children.append(child)
    signal.signal(signal.SIGTERM, lambda *_: _end(children))
    import torch

    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // workers))
    way = OriginalWay(model_id, checkpoint, monitor_port)
    for _ in range(3):
        with contextlib.suppress(OSError):
            way("a text that nobody waits for")
    handler = type("Handler", (_Handler,), {"way": way})
    server = _Server(("127.0.0.1", port), handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    server.server_address = listener.getsockname()
    server.serve_forever()


def _end(children: list[int]) -> None:
    for child in children:
        os.kill(child, signal.SIGTERM)
    os._exit(0)


def main() -> None:
    """Parse the command line and serve."""
    model_id, checkpoint, port, monitor_port, workers = sys.argv[1:6]
    serve(model_id, Path(checkpoint), int(port), int(monitor_port), int(workers))


if __name__ == "__main__":
    main()
