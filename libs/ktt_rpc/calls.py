"""Calls that are repeated when the connection is lost, and watching that goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ktt_core.errors import KttError

__all__ = ["call", "ktt_errors", "watch_reconnecting"]

R = TypeVar("R")


@contextmanager
def ktt_errors() -> Iterator[None]:
    """Turn a `grpc.RpcError` raised in the block into the `KttError` it stands for."""
    raise NotImplementedError
    yield


def call(
    method: Callable[..., R],
    request: Any,
    *,
    timeout: float = 30.0,
    idempotent: bool = True,
    patience: float = 10.0,
) -> R:
    """Make a unary call; a lost connection or a full server is tried again, with growing pauses.

    Parameters
    ----------
    method : callable
        Of a stub: ``stub.GetTrainingJob``.
    request : message
    timeout : float
        Seconds for one try.
    idempotent : bool
        Whether doing it twice is the same as once: False for a creation without a request_id.
        Then only a refusal that came before any work (the rate limit) is tried again.
    patience : float
        Seconds in which new tries are made.

    Raises
    ------
    KttError
        What the server answered, or `UnavailableError`.
    """
    raise NotImplementedError


def watch_reconnecting(
    start: Callable[[int], Iterable[R]],
    after: int = 0,
    *,
    sequence: Callable[[R], int] = lambda response: response.event.sequence,  # type: ignore[attr-defined]
    patience: float = 300.0,
    on_lost: Callable[[KttError, float], None] | None = None,
) -> Iterator[R]:
    """Yield a watching call's responses, each once and in order, across lost connections.

    Parameters
    ----------
    start : callable
        Begins the call after an event: ``lambda after: stub.WatchTrainingJob(
        WatchTrainingJobRequest(id=id, after_event=after))``.
    after : int
        The last event that is already known.
    sequence : callable
        The event's number in a response.
    patience : float
        Seconds without any contact after which it gives up.
    on_lost : callable, optional
        Told the error and the seconds until the next try.

    Raises
    ------
    UnavailableError
        No contact for `patience` seconds.
    KttError
        What else the server answered.
    """
    raise NotImplementedError
    yield
