"""The running call's state, and thread pools for its work."""

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
# Watchers only query the store. A separate pool, so that long calls do not delay them.
_WATCH_POOL = ThreadPoolExecutor(4, thread_name_prefix="ktt-watch")
# Few threads: more would not compute faster. A separate pool, so that they delay no other call.
_WORK_POOL = ThreadPoolExecutor(4, thread_name_prefix="ktt-work")


def request_id() -> str:
    """Return the id of the running call, as logged; "" outside of a call."""
    state = call_state.current()
    return state.request_id if state is not None else ""


def note_job(job_id: str) -> None:
    """Add a job's id to the running call's log line, if it has the form of an id."""
    state = call_state.current()
    if state is not None and call_state.is_id(job_id):
        state.job_id = job_id


def public_text(text: str) -> str:
    """Return a text without the paths of the server's files, within a call."""
    state = call_state.current()
    return text if state is None else state.private.hide(text)


def time_remaining() -> float | None:
    """Return the seconds until the deadline; None without one."""
    state = call_state.current()
    return state.time_remaining() if state is not None else None


def abandoned() -> bool:
    """Return whether the caller has disconnected or its deadline has passed.

    Long work in a thread polls this and stops.
    """
    state = call_state.current()
    if state is None:
        return False
    return state.abandoned.is_set() or state.time_remaining() == 0.0


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a thread, in the context of the running call.

    If the call is cancelled, a function that has not started never does; one that has continues,
    and can check `abandoned`.
    """
    return await _run_in(_POOL, functools.partial(function, *args, **kwargs))


async def in_watch_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a short function as `in_thread` does, in the pool for watching calls."""
    return await _run_in(_WATCH_POOL, functools.partial(function, *args, **kwargs))


async def in_work_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a computation or a large transfer as `in_thread` does, in a separate pool."""
    return await _run_in(_WORK_POOL, functools.partial(function, *args, **kwargs))


async def _run_in(pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    run = functools.partial(contextvars.copy_context().run, function)
    return await asyncio.get_running_loop().run_in_executor(pool, run)
