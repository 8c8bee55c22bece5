"""BentoML's batching process towards its clients: what it answers, waits for and tells of.

What it is asked by anybody ends here unless it is a request to the model or to a page of the
bundle: no stranger's header, address or broken request goes further, or into a log. It must not
import `prometheus_client` before its folder is known, so this module does not either.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from aiohttp import ClientError, ClientResponse, hdrs, web_protocol
from aiohttp.web import Application, HTTPException, Request, RequestPayloadError, Response
from bentoml.exceptions import RemoteException
from bentoml.marshal import marshal
from bentoml.types import HTTPRequest

from ktt_serving.privacy import log_failure
from ktt_serving.reading import MAX_BODY_BYTES

__all__ = [
    "DOCS_SETTING",
    "NOT_ALLOWED",
    "answer_clients",
    "error_response",
    "guard_connections",
    "guard_the_connections",
    "tell_nothing_of_requests",
]

#: A variable: 1 adds ``/docs.json``, a description of the API.
DOCS_SETTING = "KTT_API_DOCS"
#: What is said to a GET of an API.
NOT_ALLOWED = (
    'this address takes POST, with {"text": "..."} as its body; /try is a page to try the model'
)

# What a bundle's service has beside its APIs.
_PAGES = re.compile(r"|healthz|metrics|model|try/?|try/[\w.-]+")
_DOCS = "docs.json"
_READ = (hdrs.METH_GET, hdrs.METH_HEAD)
# A body is to be there within this time.
_BODY_SECONDS = 60.0
# Bytes of bodies that are not there as a whole yet; beyond, only small ones are waited for.
_MOST_HALF_BYTES, _SMALL_BYTES = 256 << 20, 64 << 10
# Pages fetched from the workers at once, so that those do not wait for the batches' sake.
_PAGES_AT_ONCE = 4
# A client that is gone, in nginx's words.
_GONE = 499
_OF_A_CONNECTION = frozenset(
    ["connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"]
)
_TOO_LARGE = f"the body is too large; at most {MAX_BODY_BYTES:,} bytes are read"


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.response = error_response(status, message, headers)
        if not 404 <= status <= 405:
            # What may still come of the body is not read.
            self.response.force_close()


def answer_clients() -> None:
    """Have batching processes answer requests as told here."""
    service = marshal.MarshalService
    counted = service.request_dispatcher
    # What counts requests stands between the two.
    plain = service.__mro__[1]
    make_app: Callable[[Any], Application] = service.make_app

    async def request_dispatcher(self: Any, request: Request) -> Any:
        path = request.match_info.get("path", "")
        if path in self.batch_handlers or _is_page(path):
            return await counted(self, request)
        # One metric for all unknown paths.
        self.metrics_request_total.labels(endpoint="other", http_response_code=404).inc()
        return error_response(404, "404 Not Found")

    async def answer(self: Any, request: Request) -> Response:
        path = request.match_info.get("path", "")
        try:
            if path in self.batch_handlers:
                return await _predict(self, request, path)
            return await _fetch(self, request, path)
        except _RefusedError as error:
            return error.response
        except (asyncio.CancelledError, ConnectionError):
            return error_response(_GONE, "the client is gone")
        except Exception as error:
            number = log_failure(f"/{path}", error)
            return error_response(500, f"the service failed (error {number})")

    def app(self: Any) -> Application:
        self.ktt_bodies = _Bodies()
        self.ktt_pages = asyncio.Semaphore(_PAGES_AT_ONCE)
        made = make_app(self)
        for path in ("/", "/{path:.*}"):
            # Whatever methods there may be.
            made.router.add_route("*", path, self.request_dispatcher)
        made.on_response_prepare.append(_in_json)
        return made

    service.request_dispatcher = request_dispatcher
    service.relay_handler = lambda self, request: request_dispatcher(self, request)
    plain.request_dispatcher = answer
    service.make_app = app


def guard_connections() -> None:
    """Have batching processes take from connections what the service reads, and no more."""
    service = marshal.MarshalService
    make_app: Callable[[Any], Application] = service.make_app
    service.make_app = lambda self: guard_the_connections(make_app(self))


def guard_the_connections(app: Application) -> Application:
    """Have an application's requests cancelled with their connections, and return it.

    No body is decompressed: it might be any size, or none.
    """
    app._make_handler = partial(  # type: ignore[method-assign]
        app._make_handler, handler_cancellation=True, auto_decompress=False
    )
    return app


def tell_nothing_of_requests() -> None:
    """Have aiohttp answer what it cannot read in JSON, and log nothing of it."""

    def handle_error(
        self: Any,
        request: Request,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Response:
        text = "this is not HTTP as it can be read here"
        if status >= 500 and exc is not None:
            text = f"the service failed (error {log_failure('a request', exc)})"
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer is sent already")
        response = error_response(status, text)
        response.force_close()
        return response

    def log_exception(self: Any, *args: Any, exc_info: Any = None, **kwargs: Any) -> None:
        if isinstance(exc_info, BaseException):
            log_failure("a connection", exc_info)

    web_protocol.RequestHandler.handle_error = handle_error  # type: ignore[assignment]
    web_protocol.RequestHandler.log_exception = log_exception  # type: ignore[method-assign]


def error_response(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """Return an error as all are answered."""
    body = json.dumps({"error": message}).encode()
    return Response(status=status, body=body, content_type="application/json", headers=headers)


class _Bodies:
    """The bodies that are on their way."""

    def __init__(self) -> None:
        self._bytes = 0

    async def read(self, request: Request) -> bytes:
        """Return a body once it is there as a whole."""
        if (request.content_length or 0) > MAX_BODY_BYTES:
            raise _RefusedError(413, _TOO_LARGE)
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for chunk in request.content.iter_any():
                    body += chunk
                    self._bytes += len(chunk)
                    if len(body) > MAX_BODY_BYTES:
                        raise _RefusedError(413, _TOO_LARGE)
                    if self._bytes > _MOST_HALF_BYTES and len(body) > _SMALL_BYTES:
                        raise _RefusedError(429, "too many large bodies come; try again later")
        except TimeoutError:
            raise _RefusedError(
                408, f"the body was not there within {_BODY_SECONDS:.0f} seconds"
            ) from None
        except RequestPayloadError:
            raise _RefusedError(400, "the body is not what its headers say") from None
        finally:
            self._bytes -= len(body)
        return bytes(body)


def _is_page(path: str) -> bool:
    return _PAGES.fullmatch(path) is not None or (
        path == _DOCS and os.environ.get(DOCS_SETTING) == "1"
    )


async def _predict(service: Any, request: Request, route: str) -> Response:
    if request.method != hdrs.METH_POST:
        raise _RefusedError(405, NOT_ALLOWED, Allow="POST")
    body = await service.ktt_bodies.read(request)
    try:
        headers = tuple((name.decode(), value.decode()) for name, value in request.raw_headers)
    except UnicodeDecodeError:
        raise _RefusedError(400, "a header is not UTF-8") from None
    try:
        response: Response = await service.batch_handlers[route](HTTPRequest(headers, body))
    except RemoteException as error:
        # Its message has all that a worker said.
        status = int(error.payload.status)
        log_failure(f"/{route}: a batch ({status})", error)
        return error_response(status, _of_workers(status))
    return response


async def _fetch(service: Any, request: Request, path: str) -> Response:
    """Fetch a page from a worker, with nothing that the client has sent but its name."""
    if request.method not in _READ:
        raise _RefusedError(405, "405 Method Not Allowed", Allow=", ".join(_READ))
    url = f"http://localhost/{quote(path)}"
    try:
        async with (
            service.ktt_pages,
            service.get_client().request(request.method, url, allow_redirects=False) as found,
        ):
            body = await found.read()
    except (ClientError, TimeoutError):
        return error_response(503, _of_workers(503))
    return Response(status=found.status, body=body, headers=_kept_headers(found))


def _kept_headers(found: ClientResponse) -> list[tuple[str, str]]:
    return [pair for pair in found.headers.items() if pair[0].lower() not in _OF_A_CONNECTION]


def _of_workers(status: int) -> str:
    if status == 503:
        return "no process answers at the moment; try again later"
    return f"{status} {HTTPStatus(status).phrase}"


async def _in_json(request: Request, response: Any) -> None:
    """Say in JSON what aiohttp itself says in a line."""
    if isinstance(response, HTTPException) and response.status >= 400:
        response.body = json.dumps({"error": f"{response.status} {response.reason}"}).encode()
        response.content_type = "application/json"
