"""BentoML's batching process, with batches and some answers of its own.

It must not import `prometheus_client` before its folder is known, so this module does not either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import BaseConnector, UnixConnector, hdrs
from aiohttp.web import Application, HTTPRequestEntityTooLarge, Request, Response
from bentoml.marshal import marshal

from ktt_serving.dispatcher import FairDispatcher, Slots
from ktt_serving.reading import MAX_BODY_BYTES
from ktt_serving.text_lists import cut_list

__all__ = [
    "NOT_ALLOWED",
    "batch_in_order",
    "cancel_with_clients",
    "cancel_with_the_client",
    "fair_dispatcher",
    "reach_workers",
    "refuse_at_once",
]

# What a bundle's service has beside its APIs.
_KNOWN = re.compile(
    r"(healthz|metrics|metadata|model|docs|docs\.json|feedback|try/?|try/[\w.-]+|"
    r"static_content/[\w.-]+)"
)


def refuse_at_once() -> None:
    """Have batching processes refuse what no worker answers: unknown paths, GETs, large bodies."""
    service = marshal.MarshalService
    dispatch = service.request_dispatcher
    make_app: Callable[[Any], Application] = service.make_app

    async def request_dispatcher(self: Any, request: Request) -> Any:
        path = request.match_info.get("path", "")
        if path not in self.batch_handlers and not _KNOWN.fullmatch(path):
            return _refuse(self, "other", 404, "404 Not Found")
        endpoint = path if path in self.batch_handlers else "other"
        if (request.content_length or 0) > MAX_BODY_BYTES:
            return _refuse(self, endpoint, 413, _TOO_LARGE)
        if path in self.batch_handlers and request.method != hdrs.METH_POST:
            return _refuse(self, endpoint, 405, NOT_ALLOWED, {"Allow": "POST"})
        try:
            # It is kept with the request; a body that does not say its length is measured here.
            await request.read()
        except HTTPRequestEntityTooLarge:
            return _refuse(self, endpoint, 413, _TOO_LARGE)
        return await dispatch(self, request)

    def limited_app(self: Any) -> Application:
        self.max_request_size = MAX_BODY_BYTES
        return make_app(self)

    service.request_dispatcher = request_dispatcher
    service.make_app = limited_app


def cancel_with_clients() -> None:
    """Have batching processes cancel requests whose clients close their connections."""
    service = marshal.MarshalService
    make_app: Callable[[Any], Application] = service.make_app
    service.make_app = lambda self: cancel_with_the_client(make_app(self))


def cancel_with_the_client(app: Application) -> Application:
    """Have requests of an application cancelled with their connections, and return it."""
    app._make_handler = partial(app._make_handler, handler_cancellation=True)  # type: ignore
    return app


def reach_workers(workers_at: Path) -> None:
    """Have batching processes reach workers by a file, which is nobody else's."""

    def get_conn(self: Any) -> BaseConnector:
        if self._conn is None or self._conn.closed:
            self._conn = UnixConnector(str(workers_at))
        return self._conn  # type: ignore[no-any-return]

    marshal.MarshalService.get_conn = get_conn


def batch_in_order() -> None:
    """Have batching processes make batches as `ktt_serving.dispatcher` does."""
    service = marshal.MarshalService
    set_up_routes = service.setup_routes_from_pb

    def setup_routes_from_pb(self: Any, metadata: Any) -> None:
        # `ktt_serving.adapters.TextRequests` leaves word of what it takes.
        self.ktt_list_routes = {
            api.route for api in metadata.apis if "lists" in api.input_config.fields
        }
        set_up_routes(self, metadata)

    def add_batch_handler(self: Any, route: str, max_latency: int, max_batch_size: int) -> None:
        if route not in self.batch_handlers:
            takes_lists = route in self.ktt_list_routes
            dispatcher = fair_dispatcher(max_batch_size, self.fetch_sema(), takes_lists)
            answer = partial(self._batch_handler_template, api_route=route, max_latency=max_latency)
            self.batch_handlers[route] = dispatcher(answer)
            self.cleanup_tasks.append(dispatcher.shutdown)

    service.setup_routes_from_pb = setup_routes_from_pb
    service.add_batch_handler = add_batch_handler
    marshal.NonBlockSema = Slots


def fair_dispatcher(max_batch_size: int, slots: Slots, takes_lists: bool) -> FairDispatcher:
    """Make what takes the place of BentoML's ``CorkDispatcher``, for one API."""
    divide = {"divide": cut_list} if takes_lists else {}
    return FairDispatcher(max_batch_size, slots, lambda: _error(429, _TOO_MANY), **divide)


#: What is said to a GET of an API.
NOT_ALLOWED = (
    'this address takes POST, with {"text": "..."} as its body; /try is a page to try the model'
)
_TOO_MANY = "too many requests wait; try again later"
_TOO_LARGE = f"the body is too large; at most {MAX_BODY_BYTES:,} bytes are read"


def _refuse(
    service: Any, endpoint: str, status: int, message: str, headers: dict[str, str] | None = None
) -> Response:
    service.metrics_request_total.labels(endpoint=endpoint, http_response_code=status).inc()
    response = _error(status, message, headers)
    if status == 413:
        # What is still to come of the body is not read.
        response.force_close()
    return response


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    body = json.dumps({"error": message}).encode()
    return Response(status=status, body=body, content_type="application/json", headers=headers)
