"""The HTTP server: waitress, with errors as JSON."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from flask import Flask
from waitress import create_server
from waitress.channel import HTTPChannel
from waitress.task import ErrorTask

from .metrics import Metrics

__all__ = ["make_server"]

_CONNECTIONS = 200
# Timeout of an idle connection, also within a request.
_IDLE_SECONDS = 60
_TOO_LARGE = 413
# Bytes and seconds of a request that are still read after an early answer.
_DRAINED_BYTES = 64 * 1024**2
_DRAINING_SECONDS = 10


class _DrainingChannel(HTTPChannel):
    """Reads on after an answer that was sent before the request's end.

    A connection closed with unread bytes is reset, and the client may lose the answer (RFC 9112,
    9.6): so the answer is sent, the sending side is shut down, and further input is discarded.
    """

    answered_early = False
    will_close: bool  # waitress'
    _draining = False
    _drained = 0
    _end = 0.0

    def readable(self) -> bool:
        """Tell whether to wait for bytes from the client."""
        if not self._draining:
            return super().readable()
        # The server calls this at least every second.
        if time.monotonic() > self._end:
            self.will_close = True
        return not self.will_close

    def writable(self) -> bool:
        """Tell whether there are bytes to send, or the connection is to be closed."""
        return self.will_close if self._draining else super().writable()

    def handle_write(self) -> None:
        """Send; after the last byte of an early answer, start to drain."""
        if self.answered_early and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.connected:
                return
            if not self.will_close and not self.total_outbufs_len:
                self._drain()
                return
        super().handle_write()

    def _drain(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # The client has disconnected.
            self.will_close = True
        else:
            self._draining = True
            self._end = time.monotonic() + _DRAINING_SECONDS

    def handle_read(self) -> None:
        """Receive; after an early answer input is discarded, up to a limit."""
        if not self._draining:
            super().handle_read()
            return
        try:
            # `recv` closes the connection at the end of the client's input.
            self._drained += len(self.recv(self.adj.recv_bytes))
        except OSError:
            self.will_close = True
        if self._drained > _DRAINED_BYTES:
            self.will_close = True


class _JsonErrorTask(ErrorTask):
    """Answers requests that never reach the application: not HTTP, or a much too large body."""

    metrics: Metrics

    def execute(self) -> None:
        """Write the answer and close the connection."""
        error = self.request.error
        if error.code == _TOO_LARGE:
            self.metrics.rejected.labels("too_large").inc()
        body = json.dumps({"error": f"{error.reason}: {error.body}"}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.response_headers.append(("Connection", "close"))
        self.close_on_finish = True
        self.channel.answered_early = True
        self.content_length = len(body)
        self.write(body)


def make_server(
    app: Flask, metrics: Metrics, host: str, port: int, threads: int, body_limit: int
) -> Any:
    """Make a listening server; `run` serves, and `effective_port` is its port."""
    task = type("JsonErrorTask", (_JsonErrorTask,), {"metrics": metrics})
    channel = type("Channel", (_DrainingChannel,), {"error_task_class": task})
    server = create_server(
        app,
        host=host,
        port=port,
        threads=threads,
        # Above the application's limit, whose error message is better.
        max_request_body_size=body_limit + 1,
        connection_limit=_CONNECTIONS,
        channel_timeout=_IDLE_SECONDS,
        ident=None,
        clear_untrusted_proxy_headers=True,
    )
    server.channel_class = channel
    return server
