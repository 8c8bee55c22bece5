"""Which requests make a batch, and when it goes.

BentoML's own way looks every millisecond whether a batch may go, holds single requests back by what
it has measured of others, and takes the newest first: under load the oldest wait longest. Here a
batch goes as soon as a process that answers is free, with what has come until then, oldest first.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

__all__ = ["FairDispatcher", "Slots"]

# A request on its way through aiohttp shows after some turns of the event loop: a batch waits for
# more while they come, and goes after so many turns without one.
_QUIET_TURNS = 4
# But the oldest waits no longer for others.
_PATIENCE_SECONDS = 0.002
# What takes less is not shared among several processes: a batch costs some milliseconds by itself.
_SHARED_SECONDS = 0.02
# Requests of an endpoint that may wait, and the bytes of their bodies; more are refused at once.
_MOST_WAITING = 5000
_MOST_BYTES = 256 << 20
# How fast what a request takes is learned.
_LEARNING_RATE = 0.1


class Slots:
    """The processes that answer, one batch each; all endpoints share them.

    Parameters
    ----------
    count : int
    """

    def __init__(self, count: int) -> None:
        self.count = self._free = count
        self._waiting: deque[Callable[[], bool]] = deque()

    def acquire(self, again: Callable[[], bool]) -> bool:
        """Take one; if there is none, `again` is called once there is, in turn.

        It tells whether it is going to try again.
        """
        if self._free:
            self._free -= 1
            return True
        if again not in self._waiting:
            self._waiting.append(again)
        return False

    def release(self) -> None:
        """Give one back."""
        self._free += 1
        # Who waited longest may have nothing left to send.
        while self._waiting and not self._waiting.popleft()():
            continue


class _Waiting(NamedTuple):
    since: float
    request: Any
    size: int
    answer: asyncio.Future[Any]


class FairDispatcher:
    """Takes the place of BentoML's ``CorkDispatcher``; refuses none because others are slow.

    Parameters
    ----------
    max_batch_size : int
    slots : Slots
    fallback : callable
        Makes the answer of a request that was refused, or given up.
    """

    def __init__(self, max_batch_size: int, slots: Slots, fallback: Callable[[], Any]) -> None:
        self._max_batch = max_batch_size
        self._slots = slots
        self._fallback = fallback
        self._queue: deque[_Waiting] = deque()
        self._bytes = self._under_way = 0
        self._tasks: dict[asyncio.Task[None], Sequence[_Waiting]] = {}
        self._looking = False
        self._seen = self._quiet = 0
        # Of a batch's time, a request's part.
        self._seconds_each = _SHARED_SECONDS / 16

    def __call__(
        self, callback: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]
    ) -> Callable[[Any], Awaitable[Any]]:
        """Return what answers one request by a function that answers many."""
        self._callback = callback

        async def answer_one(request: Any) -> Any:
            size = len(getattr(request, "body", None) or b"")
            if len(self._queue) >= _MOST_WAITING or self._bytes + size > _MOST_BYTES:
                return self._fallback()
            answer = asyncio.get_running_loop().create_future()
            self._queue.append(_Waiting(time.monotonic(), request, size, answer))
            self._bytes += size
            self._look()
            try:
                return await answer
            except asyncio.CancelledError:
                return self._fallback()

        return answer_one

    async def shutdown(self) -> None:
        """Give up what has no answer yet."""
        for task in self._tasks:
            task.cancel()
        while self._queue:
            self._queue.popleft().answer.cancel()

    def _look(self) -> bool:
        """Begin to look for more requests, until a batch goes; returns whether any waits."""
        if not self._queue:
            return False
        if not self._looking:
            self._looking = True
            self._seen = self._quiet = 0
            asyncio.get_running_loop().call_soon(self._look_again)
        return True

    def _look_again(self) -> None:
        waiting = len(self._queue)
        self._quiet = 0 if waiting > self._seen else self._quiet + 1
        self._seen = waiting
        if (
            0 < waiting < self._share()
            and self._quiet < _QUIET_TURNS
            and time.monotonic() - self._queue[0].since < _PATIENCE_SECONDS
        ):
            asyncio.get_running_loop().call_soon(self._look_again)
            return
        self._looking = False
        self._send()

    def _share(self) -> int:
        """Return what a batch takes of all requests that are here."""
        share = -(-(len(self._queue) + self._under_way) // self._slots.count)
        return min(max(share, int(_SHARED_SECONDS / self._seconds_each)), self._max_batch)

    def _send(self) -> None:
        while self._queue and self._slots.acquire(self._look):
            batch: list[_Waiting] = []
            share = self._share()
            while self._queue and len(batch) < share:
                waiting = self._queue.popleft()
                self._bytes -= waiting.size
                # Its client may have gone.
                if not waiting.answer.done():
                    batch.append(waiting)
            if not batch:
                self._slots.release()
                return
            self._under_way += len(batch)
            task = asyncio.get_running_loop().create_task(self._answer(batch))
            self._tasks[task] = batch
            # Not at the end of the task, which may be cancelled before it begins.
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        batch = self._tasks.pop(task)
        for waiting in batch:
            waiting.answer.cancel()
        self._under_way -= len(batch)
        self._slots.release()

    async def _answer(self, batch: Sequence[_Waiting]) -> None:
        started = time.monotonic()
        try:
            answers = await self._callback(tuple(waiting.request for waiting in batch))
            each = max(1e-6, (time.monotonic() - started) / len(batch))
            self._seconds_each += _LEARNING_RATE * (each - self._seconds_each)
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)
        except Exception as error:  # each of its requests answers with it
            for waiting in batch:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
