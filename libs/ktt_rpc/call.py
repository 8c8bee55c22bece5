"""What a running call knows of itself, and threads to do its work in."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

__all__ = ["abandoned", "in_thread", "note_job", "request_id", "time_remaining"]

P = ParamSpec("P")
T = TypeVar("T")


def request_id() -> str:
    """Give the id of the running call, as its log line has it; "" outside of a call."""
    raise NotImplementedError


def note_job(job_id: str) -> None:
    """Put a job's id into the running call's log line."""
    raise NotImplementedError


def time_remaining() -> float | None:
    """Give the seconds until the caller gives up; None if it waits for ever."""
    raise NotImplementedError


def abandoned() -> bool:
    """Tell whether the caller has gone or given up: long work in a thread asks from time to time."""
    raise NotImplementedError


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that blocks in one of the server's threads, within the running call.

    If the call is cancelled, a function that has not begun never does; one that has goes on, and
    `abandoned` tells it.
    """
    raise NotImplementedError
