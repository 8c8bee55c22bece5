"""The HTTP server: waitress, answering all errors as JSON."""

from __future__ import annotations

import json
from typing import Any

from flask import Flask
from waitress import create_server
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask

from .metrics import Metrics

__all__ = ["make_server"]

_CONNECTIONS = 200
# A connection on which nothing happens, in the middle of a request too.
_IDLE_SECONDS = 60
_TOO_LARGE = 413


class _JsonErrorTask(ErrorTask):
    """Answers what never reaches the application: no HTTP, or a body that is far too large."""

    metrics: Metrics

    def execute(self) -> None:
        """Write the answer and end the connection."""
        error = self.request.error
        if error.code == _TOO_LARGE:
            self.metrics.rejected.labels("too_large").inc()
        body = json.dumps({"error": f"{error.reason}: {error.body}"}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.response_headers.append(("Connection", "close"))
        self.close_on_finish = True
        self.content_length = len(body)
        self.write(body)


def make_server(
    app: Flask, metrics: Metrics, host: str, port: int, threads: int, body_limit: int
) -> Any:
    """Make a server that listens; its `run` serves, and its `effective_port` is the port."""
    task = type("JsonErrorTask", (_JsonErrorTask,), {"metrics": metrics})
    channel = type("Channel", (HTTPChannel,), {"error_task_class": task})
    server = create_server(
        app,
        host=host,
        port=port,
        threads=threads,
        # A little more than the application takes, which says so better.
        max_request_body_size=body_limit + 1,
        connection_limit=_CONNECTIONS,
        channel_timeout=_IDLE_SECONDS,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )
    server.channel_class = channel
    return server
