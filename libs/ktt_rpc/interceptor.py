"""The interceptor of all calls: id, log line and metrics, errors, access, and limits.

Its layers are, outermost first: *record* (state, log, metrics), *errors*, *access* (token),
*limits* (rate, concurrency). Health checks skip the last two, since orchestrators have no token and
must not be refused because of others' calls.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Any

import grpc
import grpc.aio
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from ktt_core.errors import KttError, UnavailableError
from ktt_rpc import call_state
from ktt_rpc.errors import internal_status, to_status
from ktt_rpc.limits import ConcurrencyLimit, RateLimit, peer_host
from ktt_rpc.metrics import ServerMetrics
from ktt_rpc.private_paths import PrivatePaths
from ktt_rpc.settings import ServerSettings
from ktt_rpc.shutdown import ShutdownFlag
from ktt_rpc.streams import answer, received
from ktt_rpc.tokens import TokenSet
from ktt_rpc.undecodable import check_readable, readable_requests, tolerant_deserializer

__all__ = ["CallInterceptor"]

_LOG = logging.getLogger("ktt_rpc.calls")
_HEALTH = "/grpc.health.v1.Health/"
_REFLECTION = "/grpc.reflection."
# Seconds for sending the last change to health watchers before their streams are ended.
_LAST_WORDS = 0.2


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every call of a server.

    Parameters
    ----------
    settings : ServerSettings
    tokens : TokenSet or None
        None: no token is required.
    metrics : ServerMetrics
    stopping : ShutdownFlag
    private : PrivatePaths
    """

    def __init__(
        self,
        settings: ServerSettings,
        tokens: TokenSet | None,
        metrics: ServerMetrics,
        stopping: ShutdownFlag,
        private: PrivatePaths,
    ) -> None:
        self._private = private
        self._tokens = tokens
        self._metrics = metrics
        self._stopping = stopping
        self._rate = RateLimit(settings.rate_limit)
        self._idle = settings.idle_timeout
        self._calls = ConcurrencyLimit(settings.max_concurrent_calls, "calls in work")
        # Streams may last long, and must not block short calls.
        self._streams = ConcurrencyLimit(settings.max_concurrent_calls, "streams in work")
        self._watchers = ConcurrencyLimit(settings.max_watchers, "watchers")
        # Callers without a token must not block those with one.
        self._health_watchers = ConcurrencyLimit(settings.max_watchers, "watchers of health")

    @property
    def watchers(self) -> int:
        """Number of watching calls."""
        return self._watchers.in_use

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Return the call's handler, wrapped."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return handler
        behavior = _behavior(handler)
        method = handler_call_details.method
        limit = self._limit_of(method, handler)

        async def unary(request: Any, context: grpc.aio.ServicerContext) -> Any:
            async with self._around(method, limit, request, context):
                request = self._readable(handler, request)
                return await behavior(request, context)

        async def streaming(request: Any, context: grpc.aio.ServicerContext) -> None:
            async with self._around(method, limit, request, context):
                request = self._readable(handler, request)
                if _watches(method):
                    # The first event may take long; the initial metadata confirm the connection.
                    await context.send_initial_metadata(())
                if method.startswith((_HEALTH, _REFLECTION)):
                    await self._until_stopping(answer(behavior, request, context, None))
                else:
                    await answer(behavior, request, context, self._idle)

        return _wrapped(handler, streaming if handler.response_streaming else unary)

    def _readable(self, handler: grpc.RpcMethodHandler, request: Any) -> Any:
        """Return the request, or the stream of requests; refuse undecodable ones."""
        if handler.request_streaming:
            return readable_requests(received(request, self._idle))
        check_readable(request)
        return request

    def _limit_of(self, method: str, handler: grpc.RpcMethodHandler) -> ConcurrencyLimit | None:
        """Return the concurrency limit of such calls; None if there is none."""
        if method.startswith(_HEALTH):
            return self._health_watchers if _watches(method) else None
        if _watches(method):
            return self._watchers
        streams = handler.request_streaming or handler.response_streaming
        return self._streams if streams else self._calls

    @asynccontextmanager
    async def _around(
        self,
        method: str,
        limit: ConcurrencyLimit | None,
        request: Any,
        context: grpc.aio.ServicerContext,
    ) -> AsyncIterator[None]:
        with self._record(method, request, context) as state:
            async with _errors(state, context):
                with self._access(state, context), self._limits(state, limit):
                    yield

    @contextmanager
    def _record(
        self, method: str, request: Any, context: grpc.aio.ServicerContext
    ) -> Iterator[call_state.CallState]:
        began = time.monotonic()
        remaining = context.time_remaining()
        state = call_state.CallState(
            method=method,
            request_id=_request_id(context),
            peer=peer_host(context.peer()),
            deadline=None if remaining is None else began + remaining,
            stopping=self._stopping,
            job_id=_job_id(method, request),
            private=self._private,
        )
        context.set_trailing_metadata((("x-request-id", state.request_id),))
        token = call_state.enter(state)
        self._metrics.begin_call(method)
        code = grpc.StatusCode.OK
        try:
            yield state
        except asyncio.CancelledError:
            late = state.time_remaining() == 0.0
            code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED
            raise
        except BaseException:
            code = _code(context)
            raise
        finally:
            state.abandoned.set()
            seconds = time.monotonic() - began
            self._metrics.end_call(method, code.name, None if _watches(method) else seconds)
            _LOG.log(
                logging.DEBUG if method.startswith(_HEALTH) else logging.INFO,
                "call ended",
                extra={"code": code.name, "ms": round(seconds * 1000, 3), "peer": state.peer},
            )
            call_state.leave(token)

    @contextmanager
    def _access(
        self, state: call_state.CallState, context: grpc.aio.ServicerContext
    ) -> Iterator[None]:
        if self._tokens is not None and not state.method.startswith(_HEALTH):
            self._tokens.check(_metadata(context, "authorization"))
        yield

    @contextmanager
    def _limits(
        self, state: call_state.CallState, limit: ConcurrencyLimit | None
    ) -> Iterator[None]:
        if not state.method.startswith(_HEALTH):
            self._rate.take(state.peer)
        with limit.acquire() if limit is not None else nullcontext():
            yield

    async def _until_stopping(self, stream: Awaitable[None]) -> None:
        """Run a stream until its client ends it or the server stops."""
        task = asyncio.ensure_future(stream)
        loop = asyncio.get_running_loop()

        def end_soon() -> None:
            loop.call_later(_LAST_WORDS, task.cancel)

        take_back = self._stopping.on_set(end_soon)
        try:
            await task
        except asyncio.CancelledError:
            if self._stopping.is_set and task.cancelled():
                raise UnavailableError("the server is stopping; connect again later") from None
            raise
        finally:
            take_back()
            task.cancel()


@asynccontextmanager
async def _errors(
    state: call_state.CallState, context: grpc.aio.ServicerContext
) -> AsyncIterator[None]:
    try:
        yield
    except (grpc.aio.AbortError, asyncio.CancelledError):
        raise
    except KttError as error:
        await _abort(
            context, state, to_status(error, request_id=state.request_id, public=state.private.hide)
        )
    except Exception:
        error_id = uuid.uuid4().hex[:12]
        _LOG.exception("unexpected exception", extra={"error_id": error_id})
        await _abort(context, state, internal_status(error_id, request_id=state.request_id))


async def _abort(
    context: grpc.aio.ServicerContext, state: call_state.CallState, status: Status
) -> None:
    sent = rpc_status.to_status(status)
    metadata = (*sent.trailing_metadata, ("x-request-id", state.request_id))
    await context.abort(sent.code, sent.details, metadata)


def _behavior(handler: grpc.RpcMethodHandler) -> Callable[..., Any]:
    return (
        handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    )


def _wrapped(handler: grpc.RpcMethodHandler, behavior: Callable[..., Any]) -> grpc.RpcMethodHandler:
    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(
        behavior, tolerant_deserializer(handler.request_deserializer), handler.response_serializer
    )


def _watches(method: str) -> bool:
    return method.rpartition("/")[2].startswith("Watch")


def _metadata(context: grpc.aio.ServicerContext, key: str) -> str | None:
    for found, value in context.invocation_metadata() or ():
        if found == key:
            return value if isinstance(value, str) else None
    return None


def _request_id(context: grpc.aio.ServicerContext) -> str:
    given = _metadata(context, "x-request-id") or ""
    return given if call_state.is_id(given) else uuid.uuid4().hex


def _job_id(method: str, request: Any) -> str:
    """Return the job id of a request, if it has the form of an id and so is safe to log."""
    field = "id" if method.endswith("Job") else "export_job_id"
    named = getattr(request, field, "")
    return named if isinstance(named, str) and call_state.is_id(named) else ""


def _code(context: grpc.aio.ServicerContext) -> grpc.StatusCode:
    code = context.code()
    for known in grpc.StatusCode:
        if code is known or code == known.value[0]:
            return known
    return grpc.StatusCode.UNKNOWN
