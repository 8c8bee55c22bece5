"""Calls with retries, and watching calls that reconnect."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import grpc

from ktt_core.errors import KttError, UnavailableError
from ktt_rpc.errors import from_rpc_error, is_transient, retry_delay

__all__ = ["call", "ktt_errors", "watch_reconnecting"]

_LOG = logging.getLogger(__name__)

R = TypeVar("R")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 3.0


@contextmanager
def ktt_errors() -> Iterator[None]:
    """Convert a `grpc.RpcError` raised in the body to a `KttError`."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error


def call(
    method: Callable[..., R],
    request: Any,
    *,
    timeout: float | None = None,
    idempotent: bool = True,
    patience: float = 10.0,
) -> R:
    """Make a unary call, with retries and exponential backoff for transient errors.

    Parameters
    ----------
    method : callable
        Of a stub: ``stub.GetTrainingJob``.
    request : message
    timeout : float, optional
        Seconds per attempt. Default: the timeout of the channel's settings.
    idempotent : bool
        Whether the call may be repeated: False for a creation without a request_id. Then only calls
        that were refused before any work (rate limit) are retried.
    patience : float
        Seconds in which new attempts are started.

    Raises
    ------
    KttError
        The server's error, or `UnavailableError`.
    """
    ends = time.monotonic() + patience
    pauses = _Pauses()
    while True:
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            asked = retry_delay(error)
            again = is_transient(error) if idempotent else _refused_early(error)
            pause = pauses.next(asked)
            if not again or time.monotonic() + pause > ends:
                raise from_rpc_error(error) from error
            time.sleep(pause)


def watch_reconnecting(
    start: Callable[[int], Iterable[R]],
    after: int = 0,
    *,
    sequence: Callable[[R], int] | None = None,
    patience: float = 300.0,
    on_lost: Callable[[KttError, float], None] | None = None,
) -> Generator[R, None, None]:
    """Yield a watching call's responses, each once and in order, with reconnects.

    Parameters
    ----------
    start : callable
        Starts the call after an event: ``lambda after: stub.WatchTrainingJob(
        WatchTrainingJobRequest(id=id, after_event=after))``.
    after : int
        The last known event.
    sequence : callable, optional
        The event's number in a response; by default ``response.event.sequence``.
    patience : float
        Seconds without contact after which it gives up.
    on_lost : callable, optional
        Called with the error and the seconds until the next attempt.

    Raises
    ------
    UnavailableError
        After `patience` seconds without contact.
    KttError
        Other errors of the server.
    """
    number_of = sequence if sequence is not None else _event_sequence
    contact = time.monotonic()
    pauses = _Pauses()
    while True:
        stream, connected = None, False
        try:
            stream = start(after)
            connected = _connects(stream)
            for response in stream:
                connected = True
                number = number_of(response)
                if number > after + 1:
                    raise _GapError(after, number)
                if number == after + 1:
                    after = number
                    yield response
            return
        except grpc.RpcError as error:
            if not is_transient(error):
                raise from_rpc_error(error) from error
            lost, asked = from_rpc_error(error), retry_delay(error)
        except _GapError as error:
            lost, asked = error, None
        finally:
            _cancel(stream)
        if connected:
            contact, pauses = time.monotonic(), _Pauses()
        left = contact + patience - time.monotonic()
        if left <= 0:
            raise lost
        pause = min(pauses.next(asked), left)
        if on_lost is not None:
            on_lost(lost, pause)
        time.sleep(pause)


class _GapError(UnavailableError):
    """A stream omitted events."""

    def __init__(self, after: int, number: int) -> None:
        super().__init__(f"the stream went from event {after} to event {number}")


class _Pauses:
    """Exponential backoff with jitter."""

    def __init__(self) -> None:
        self._pause = _FIRST_PAUSE

    def next(self, asked: float | None) -> float:
        """Return the next pause, in seconds: at least the server's retry delay."""
        pause = self._pause * random.uniform(0.75, 1.25)
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return max(pause, asked or 0.0)


def _refused_early(error: grpc.RpcError) -> bool:
    refused = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return refused and retry_delay(error) is not None


def _event_sequence(response: Any) -> int:
    return int(response.event.sequence)


def _connects(stream: Any) -> bool:
    """Wait for the initial metadata, which precede all events; return whether they came."""
    if not hasattr(stream, "initial_metadata"):
        return False
    stream.initial_metadata()
    return bool(stream.is_active())


def _cancel(stream: Any) -> None:
    if hasattr(stream, "cancel"):
        stream.cancel()
