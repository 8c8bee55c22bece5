"""The shell of a server: everything about it that is not one service's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ktt_jobs import JobService

from ktt_rpc.settings import ServerSettings

__all__ = ["ServiceSpec", "running_server", "serve"]


@dataclass(frozen=True)
class ServiceSpec:
    """A gRPC service that a server offers.

    Attributes
    ----------
    add_to_server : callable
        The generated ``add_..._to_server(servicer, server)``.
    servicer : object
        With one coroutine (or asynchronous generator) per call.
    full_name : str
        "ktt.trainer.v1.TrainerService".
    """

    add_to_server: Callable[[Any, Any], None]
    servicer: Any
    full_name: str


def serve(
    services: Sequence[ServiceSpec],
    settings: ServerSettings,
    *,
    jobs: JobService | None = None,
    on_start: Callable[[], None] | None = None,
    on_stop: Callable[[], None] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; log to standard error.

    The address is bound first, then `jobs` started, then `on_start` called, then calls taken. On
    a signal health goes NOT_SERVING, watching calls end with UNAVAILABLE, other calls have
    `settings.grace` seconds, then `on_stop` is called and `jobs` stopped.

    Returns
    -------
    int
        The exit code: 0 after a signal; 1, or 2 for settings that are wrong, if it could not start
        (the log says why).
    """
    raise NotImplementedError


@asynccontextmanager
async def running_server(
    services: Sequence[ServiceSpec],
    settings: ServerSettings,
    *,
    jobs: JobService | None = None,
    on_start: Callable[[], None] | None = None,
    on_stop: Callable[[], None] | None = None,
) -> AsyncIterator[str]:
    """Serve while the block runs, as `serve` does, and give the address with its real port."""
    raise NotImplementedError
    yield
