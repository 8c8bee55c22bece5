"""The events of a job as an asynchronous stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from ktt_core.errors import InvalidArgumentError, UnavailableError
from ktt_jobs import JobEvent, JobService
from ktt_rpc import call_state
from ktt_rpc.current_call import in_watch_thread

__all__ = ["watch"]

_BATCH = 256
# Events without a notification (there should be none) are found after this time, in seconds.
_LOOK_AGAIN = 5.0


async def watch(jobs: JobService, job_id: str, after: int = 0) -> AsyncIterator[JobEvent]:
    """Yield a job's events from the first after `after` on, each once, until the job has ended.

    At most 256 events are held, however slowly they are taken.

    ::

        async for event in watch(jobs, request.id, request.after_event):
            yield WatchTrainingJobResponse(event=event_to_proto(event))

    Raises
    ------
    InvalidArgumentError
        If `after` is negative or beyond the job's newest event (field ``after_event``).
    NotFoundError
        If there is no such job.
    UnavailableError
        If the server is stopping: callers reconnect and continue after their last event.
    """
    job = await in_watch_thread(jobs.get, job_id)
    if not 0 <= after <= job.last_event:
        raise InvalidArgumentError(
            f"after_event {after}: the job's events so far are 1 to {job.last_event}; give the "
            "number of the last one you have, or 0",
            field="after_event",
        )
    state = call_state.current()
    stopping = state.stopping if state is not None else None
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def tell() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    end_subscription = jobs.subscribe(job_id, tell)
    take_back = stopping.on_set(news.set) if stopping is not None else _nothing
    try:
        while True:
            if stopping is not None and stopping.is_set:
                raise UnavailableError(
                    "the server is stopping; connect again and watch after the last event you have"
                )
            news.clear()
            events = await in_watch_thread(jobs.events, job_id, after, _BATCH)
            for event in events:
                yield event
                after = event.sequence
                if event.state is not None and event.state.ended:
                    return
            if not events and job.state.ended:
                return
            if len(events) < _BATCH:
                await _wait(news)
                if not news.is_set():
                    job = await in_watch_thread(jobs.get, job_id)
    finally:
        take_back()
        end_subscription()


async def _wait(news: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_LOOK_AGAIN):
            await news.wait()
    except TimeoutError:
        return


def _nothing() -> None:
    """Do nothing."""
