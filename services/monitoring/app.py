"""The HTTP endpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request, send_file
from prometheus_client import CONTENT_TYPE_LATEST
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from .errors import RequestError, StateError
from .layout import Layout
from .metrics import Metrics
from .rows import parse_feedback, parse_rows
from .state import State
from .worker import REPORT_NAME, Worker

__all__ = ["create_app"]

_LOG = logging.getLogger("monitoring.app")
# The report is one file: it may run its own scripts, but not load or send anything.
_REPORT_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
)


def create_app(
    layout: Layout,
    state: State,
    metrics: Metrics,
    worker: Worker,
    folder: Path,
    body_limit: int,
) -> Flask:
    """Make the application.

    Parameters
    ----------
    layout : Layout
    state : State
    metrics : Metrics
    worker : Worker
    folder : Path
        Folder of the report.
    body_limit : int
        The largest body, in bytes.
    """
    app = Flask("monitoring", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = body_limit

    @app.post("/iterate")
    def iterate() -> Any:
        accepted = state.add(parse_rows(request.get_data(cache=False), layout))
        metrics.received.inc(accepted.rows)
        metrics.feedback.labels("joined").inc(accepted.joined)
        return jsonify(rows=accepted.rows, repeated=accepted.repeated)

    @app.post("/feedback")
    def feedback() -> Any:
        joined = state.join(parse_feedback(request.get_data(cache=False), layout))
        metrics.feedback.labels("joined").inc(joined.joined)
        metrics.feedback.labels("unknown").inc(joined.unknown)
        return jsonify(joined=joined.joined, unknown=joined.unknown)

    @app.get("/metrics")
    def read_metrics() -> Response:
        return Response(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)

    @app.get("/report")
    def report() -> Any:
        try:
            response = send_file(folder.resolve() / REPORT_NAME, mimetype="text/html")
        except FileNotFoundError:
            return _error("there is no report yet: the first computation has not finished", 503)
        response.headers["Content-Security-Policy"] = _REPORT_POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        return response

    @app.get("/health")
    def health() -> Any:
        if not worker.is_alive:
            return _error("the computation thread has ended", 503)
        return jsonify(status="ok")

    @app.get("/ready")
    def ready() -> Any:
        if not worker.is_alive:
            return _error("the computation thread has ended", 503)
        if not worker.is_ready:
            return _error("Evidently is still being loaded", 503)
        return jsonify(status="ready")

    _add_error_handlers(app, metrics)
    return app


def _error(message: str, status: int) -> tuple[Response, int]:
    return jsonify(error=message), status


def _add_error_handlers(app: Flask, metrics: Metrics) -> None:
    handles: Callable[[Any], Callable] = app.errorhandler

    @handles(RequestError)
    def refused(error: RequestError) -> Any:
        metrics.rejected.labels(error.reason).inc(error.rows)
        return _error(str(error), error.status)

    @handles(RequestEntityTooLarge)
    def too_large(error: RequestEntityTooLarge) -> Any:
        metrics.rejected.labels("too_large").inc()
        limit = app.config["MAX_CONTENT_LENGTH"]
        return _error(f"the body is larger than {limit} bytes", 413)

    @handles(HTTPException)
    def http_error(error: HTTPException) -> Any:
        response, _ = _error(error.description or error.name, 0)
        response.status_code = error.code or 500
        if allowed := getattr(error, "valid_methods", None):
            response.headers["Allow"] = ", ".join(sorted(allowed))
        return response

    @handles(StateError)
    def not_kept(error: StateError) -> Any:
        _LOG.error("%s", error)
        return _error("the rows could not be stored; none was added, send them again later", 503)

    @handles(Exception)
    def unexpected(error: Exception) -> Any:
        # Without the error's message, which may quote the request.
        _LOG.error("a request failed with %s", type(error).__name__, exc_info=error)
        return _error("the service failed to answer; its log says where", 500)
