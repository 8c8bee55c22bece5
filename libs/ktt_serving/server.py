"""Additions to BentoML's HTTP server: metrics of all workers, and a page to try a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Response, jsonify
from prometheus_client import REGISTRY, CollectorRegistry, Metric, generate_latest
from werkzeug.exceptions import HTTPException

from ktt_serving import metrics
from ktt_serving.bentoml_patches.edge import DOCS_SETTING, NOT_ALLOWED
from ktt_serving.edge_metrics import with_edge_metrics
from ktt_serving.privacy import log_failure

if TYPE_CHECKING:
    from bentoml.service import BentoService

    from ktt_serving.service import ClassifierService

__all__ = ["add_routes"]

PAGE_FOLDER = Path(__file__).parent / "try_page"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}

# The page loads only its own files and this service, and cannot be embedded.
_PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def add_routes(app: Any, service: ClassifierService) -> None:
    """Add routes to the server of a service, and replace some of BentoML's.

    Parameters
    ----------
    app : flask.Flask
    service : ClassifierService
    """
    files = {path.name: path for path in PAGE_FOLDER.glob("*") if path.suffix in _TYPES}

    def page(name: str = "index.html") -> Response:
        if name not in files:
            return _error("there is no such page", 404)
        path = files[name]
        return Response(path.read_bytes(), headers=_PAGE_HEADERS, content_type=_TYPES[path.suffix])

    def page_below() -> Response:
        # Relative URLs of the page's files work from here. A redirect would not reach the browser:
        # BentoML's batching process follows it.
        response = page()
        response.set_data(response.get_data().replace(b'="try/', b'="'))
        return response

    app.add_url_rule("/try", "ktt_try", page)
    app.add_url_rule("/try/", "ktt_try_too", page_below)
    app.add_url_rule("/try/<name>", "ktt_try_file", page)
    app.add_url_rule("/model", "ktt_model", lambda: jsonify(service.describe()))
    views: dict[str, Callable[..., Response]] = {
        "index": _to_the_page,
        "metrics": _metrics_view(app, service),
        **_UNSEEN,
    }
    if os.environ.get(DOCS_SETTING) == "1":
        del views["docs"]
    for name, view in views.items():
        if name in app.view_functions:
            app.view_functions[name] = view
    app.register_error_handler(HTTPException, _http_error)
    app.log_exception = lambda exc_info: log_failure("a request", exc_info[1])
    app.after_request(_error_in_json)


def _metrics_view(app: Any, service: BentoService) -> Any:
    endpoints = {api.name for api in service.inference_apis}

    def view() -> Response:
        if metrics.is_shared():
            families: Iterable[Metric] = metrics.shared_registry().collect()
        else:
            # BentoML's own metrics are in another registry.
            own = getattr(app.wsgi_app, "collector_registry", None)
            families = [*REGISTRY.collect(), *(own.collect() if own is not None else ())]
        body = generate_latest(_Collected(with_edge_metrics(families, endpoints)))
        return Response(body, content_type=metrics.CONTENT_TYPE)

    return view


class _Collected(CollectorRegistry):
    """A registry of collected metrics."""

    def __init__(self, families: Iterable[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _to_the_page() -> Response:
    return Response(status=302, headers={"Location": "try"})


def _not_found(**parts: str) -> Response:
    return _error("404 Not Found", 404)


# What BentoML shows or takes, and nobody needs here; feedback it would write to a log.
_UNSEEN = dict.fromkeys(["docs", "feedback", "metadata", "static_content", "swagger"], _not_found)


def _http_error(error: HTTPException) -> Response:
    if error.code is None or error.code < 400:
        return Response(error.get_body(), status=error.code, headers=dict(error.get_headers()))
    allowed = dict(error.get_headers()).get("Allow", "")
    message = NOT_ALLOWED if "POST" in allowed else f"{error.code} {error.name}"
    response = _error(message, error.code)
    if allowed:
        response.headers["Allow"] = allowed
    return response


def _error_in_json(response: Response) -> Response:
    """Say in JSON what BentoML says in a text, which may tell of the service's code."""
    if response.status_code < 400 or response.mimetype == "application/json":
        return response
    return _error(
        f"{response.status_code} {HTTPStatus(response.status_code).phrase}", response.status_code
    )


def _error(message: str, status: int) -> Response:
    response: Response = jsonify({"error": message})
    response.status_code = status
    return response
