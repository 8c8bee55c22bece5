"""What a running call knows of itself, and threads to do its work in."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from ktt_rpc import call_state

__all__ = [
    "abandoned",
    "in_thread",
    "in_watch_thread",
    "in_work_thread",
    "note_job",
    "public_text",
    "request_id",
    "time_remaining",
]

P = ParamSpec("P")
T = TypeVar("T")

_POOL = ThreadPoolExecutor(16, thread_name_prefix="ktt-call")
# Watchers only ask the store what is new. Of their own, so that long calls do not hold them up.
_WATCH_POOL = ThreadPoolExecutor(4, thread_name_prefix="ktt-watch")
# Few: more would not compute faster. A pool of their own, so that they delay no other call.
_WORK_POOL = ThreadPoolExecutor(4, thread_name_prefix="ktt-work")


def request_id() -> str:
    """Give the id of the running call, as its log line has it; "" outside of a call."""
    state = call_state.current()
    return state.request_id if state is not None else ""


def note_job(job_id: str) -> None:
    """Put a job's id into the running call's log line; what can be no id is left out."""
    state = call_state.current()
    if state is not None and call_state.is_id(job_id):
        state.job_id = job_id


def public_text(text: str) -> str:
    """Give a text without the places of the server's files, if it goes to a client."""
    state = call_state.current()
    return text if state is None else state.private.hide(text)


def time_remaining() -> float | None:
    """Give the seconds until the caller gives up; None if it waits for ever."""
    state = call_state.current()
    return state.time_remaining() if state is not None else None


def abandoned() -> bool:
    """Tell whether the caller has gone or given up.

    Long work in a thread asks from time to time, and stops.
    """
    state = call_state.current()
    if state is None:
        return False
    return state.abandoned.is_set() or state.time_remaining() == 0.0


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that blocks in one of the server's threads, within the running call.

    If the call is cancelled, a function that has not begun never does; one that has goes on, and
    `abandoned` tells it.
    """
    return await _run_in(_POOL, functools.partial(function, *args, **kwargs))


async def in_watch_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a short function as `in_thread` does, in threads that only watching calls use."""
    return await _run_in(_WATCH_POOL, functools.partial(function, *args, **kwargs))


async def in_work_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what computes, or moves many bytes, as `in_thread` does, in threads of their own."""
    return await _run_in(_WORK_POOL, functools.partial(function, *args, **kwargs))


async def _run_in(pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    run = functools.partial(contextvars.copy_context().run, function)
    return await asyncio.get_running_loop().run_in_executor(pool, run)
