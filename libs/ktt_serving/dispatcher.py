"""Batching of requests.

BentoML's own batching polls every millisecond, delays single requests by estimates from others, and
takes the newest first: under load the oldest wait longest. Here a batch is sent as soon as a worker
is free, with all requests so far, oldest first.

The time of a batch depends on the bytes of its texts: it has as many as take a twentieth of a
second, as measured. A large request, of many texts, is sent in parts of that size, in turn with
other large ones. Other requests are sent with the next part.

A text that is larger than a batch is sent alone, in turn with the batches of others. The slowest
texts never occupy all workers: one is left to the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

__all__ = ["Divided", "FairDispatcher", "Slots"]

# A request needs some iterations of the event loop to pass through aiohttp: a batch waits while
# requests arrive, and is sent after so many iterations without one.
_QUIET_TURNS = 4
# Maximum time that the oldest request waits for others.
_PATIENCE_SECONDS = 0.002
# Shorter work is not split among workers: a batch has an overhead of some milliseconds.
_SHARED_SECONDS = 0.02
# Limits of an endpoint's queue, in requests and in bytes; more are refused at once.
_MOST_WAITING = 5000
_MOST_BYTES = 256 << 20
# Limit of the queue of large requests, which is separate from that of others.
_MOST_ITEMS, _MOST_LARGE_BYTES = 20_000, 64 << 20
# Target time of a batch with a part of a large request, since others wait for it; and the sizes of
# the first and the smallest part: a batch has the overhead of some items.
_PART_SECONDS, _FIRST_ITEMS, _LEAST_ITEMS = 0.05, 16, 8
# Bytes of a batch: initial, minimum and maximum. Batches below the minimum are too small to measure
# the time per byte.
_FIRST_BYTES, _LEAST_BYTES, _MOST_BATCH_BYTES = 32 << 10, 8 << 10, 1 << 20
# Bytes of a text that may occupy a worker for half a second.
_HEAVY_BYTES = 64 << 10
# Share of a batch for large requests while single ones would fill it.
_LARGE_SHARE = 0.25
# Rate of updates of the measured times.
_LEARNING_RATE = 0.1


class Slots:
    """The workers, each with one batch at a time, shared by all endpoints.

    If there are several, heavy batches never occupy the last one.

    Parameters
    ----------
    count : int
    """

    def __init__(self, count: int) -> None:
        self.count = self._free = count
        self._free_for_heavy = max(1, count - 1)
        self._waiting: deque[tuple[Callable[[], bool], bool]] = deque()

    def acquire(self, again: Callable[[], bool], heavy: bool = False) -> bool:
        """Acquire a slot; if none is free, `again` is called in turn when one is.

        It returns whether it will try again.
        """
        if self._is_free(heavy):
            self._free -= 1
            self._free_for_heavy -= heavy
            return True
        if (again, heavy) not in self._waiting:
            self._waiting.append((again, heavy))
        return False

    def release(self, heavy: bool = False) -> None:
        """Release a slot; after a heavy batch, others come first."""
        self._free += 1
        self._free_for_heavy += heavy
        in_turn = sorted(self._waiting, key=itemgetter(1)) if heavy else tuple(self._waiting)
        for waiting in in_turn:
            again, is_heavy = waiting
            if not self._is_free(is_heavy):
                continue
            self._waiting.remove(waiting)
            # The longest waiting endpoint may have nothing left to send.
            if again():
                return

    def _is_free(self, heavy: bool) -> bool:
        return self._free > 0 and (not heavy or self._free_for_heavy > 0)


class Divided(Protocol):
    """A request of many items, which is processed in parts."""

    def __len__(self) -> int:
        """Return the number of items that are not in a part yet."""

    @property
    def largest(self) -> int:
        """The bytes of the largest item."""

    def part(self, count: int, size: int) -> Any:
        """Return a request for the next items: at least one, at most `count` and `size` bytes."""

    def add(self, number: int, answer: Any) -> Any:
        """Add the answer of a part, from 0; return the whole answer once it is complete."""


class _Undivided:
    """A request that is its only part."""

    def __init__(self, request: Any, size: int) -> None:
        self._request, self.largest = request, size
        self._left = 1

    def __len__(self) -> int:
        return self._left

    def part(self, count: int, size: int) -> Any:
        self._left = 0
        return self._request

    def add(self, number: int, answer: Any) -> Any:
        return answer


class _Waiting(NamedTuple):
    since: float
    request: Any
    size: int
    answer: asyncio.Future[Any]


@dataclass(eq=False)
class _Large:
    request: Divided
    size: int
    answer: asyncio.Future[Any]
    parts: int = 0


@dataclass(eq=False)
class _Batch:
    waiting: list[_Waiting]
    singles: int
    items: int
    size: int
    apart: bool = False
    heavy: bool = False


class FairDispatcher:
    """Replaces BentoML's ``CorkDispatcher``; does not refuse requests because others are slow.

    Parameters
    ----------
    max_batch_size : int
    slots : Slots
    fallback : callable
        Creates the answer of a request that was refused or abandoned.
    divide : callable, optional
        Returns a large request in divisible form, or None if it is not large.
    """

    def __init__(
        self,
        max_batch_size: int,
        slots: Slots,
        fallback: Callable[[], Any],
        divide: Callable[[Any], Divided | None] = lambda request: None,
    ) -> None:
        self._max_batch = max_batch_size
        self._slots = slots
        self._fallback = fallback
        self._divide = divide
        self._queue: deque[_Waiting] = deque()
        self._large: deque[_Large] = deque()
        self._apart: deque[_Large] = deque()
        self._bytes = self._under_way = 0
        self._tasks: dict[asyncio.Task[None], _Batch] = {}
        self._looking = False
        self._seen = self._quiet = 0
        # Measured time per request within a batch.
        self._seconds_each = _SHARED_SECONDS / 16
        self._seconds_a_byte = _PART_SECONDS / _FIRST_BYTES
        # Items of large requests per batch, from measurements.
        self._part_items = float(_FIRST_ITEMS)

    def __call__(
        self, callback: Callable[[Sequence[Any]], Awaitable[Sequence[Any]]]
    ) -> Callable[[Any], Awaitable[Any]]:
        """Return a function for one request, from a function that answers batches."""
        self._callback = callback

        async def answer_one(request: Any) -> Any:
            size = _size(request)
            divided = self._divide(request)
            if divided is None and size > self._batch_bytes():
                divided = _Undivided(request, size)
            answer = asyncio.get_running_loop().create_future()
            if divided is not None:
                if not self._has_room(len(divided), size):
                    return self._fallback()
                apart = divided.largest > self._batch_bytes()
                (self._apart if apart else self._large).append(_Large(divided, size, answer))
                if apart:
                    self._send_apart()
            elif len(self._queue) >= _MOST_WAITING or self._bytes + size > _MOST_BYTES:
                return self._fallback()
            else:
                self._queue.append(_Waiting(time.monotonic(), request, size, answer))
                self._bytes += size
            self._look()
            try:
                return await answer
            except asyncio.CancelledError:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise  # its client is gone
                return self._fallback()

        return answer_one

    async def shutdown(self) -> None:
        """Abandon all requests without an answer."""
        for task in self._tasks:
            task.cancel()
        while self._queue:
            self._queue.popleft().answer.cancel()
        for large in (self._large, self._apart):
            while large:
                large.popleft().answer.cancel()

    def _has_room(self, items: int, size: int) -> bool:
        there = [large for large in (*self._large, *self._apart) if not large.answer.done()]
        return (
            sum(len(large.request) for large in there) + items <= _MOST_ITEMS
            and sum(large.size for large in there) + size <= _MOST_LARGE_BYTES
        )

    def _look(self) -> bool:
        """Start polling for further requests until a batch is sent; return whether any waits."""
        if not self._queue and not self._large:
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
        """Return the number of single requests that the next batch may have."""
        share = -(-(len(self._queue) + self._under_way) // self._slots.count)
        return min(max(share, int(_SHARED_SECONDS / self._seconds_each)), self._max_batch)

    def _send(self) -> None:
        while (self._queue or self._large) and self._slots.acquire(self._look):
            batch = self._next_batch()
            if not batch.waiting:
                self._slots.release()
                return
            self._start(batch)

    def _send_apart(self) -> bool:
        """Send texts that are sent alone; return whether any was sent."""
        sent = False
        while self._apart:
            if self._apart[0].answer.done():
                self._apart.popleft()
                continue
            heavy = self._apart[0].request.largest > _HEAVY_BYTES
            if not self._slots.acquire(self._send_apart, heavy):
                break
            large = self._apart.popleft()
            part = self._next_part(large, self._max_batch, self._batch_bytes())
            if len(large.request):
                self._apart.append(large)
            self._start(_Batch([part], 0, 1, part.size, apart=True, heavy=heavy))
            sent = True
        return sent

    def _start(self, batch: _Batch) -> None:
        self._under_way += batch.singles
        task = asyncio.get_running_loop().create_task(self._answer(batch))
        self._tasks[task] = batch
        # Not at the end of the task, which may be cancelled before it starts.
        task.add_done_callback(self._done)

    def _batch_bytes(self) -> int:
        """Return the bytes of a batch that takes the target time."""
        return int(min(max(_PART_SECONDS / self._seconds_a_byte, _LEAST_BYTES), _MOST_BATCH_BYTES))

    def _next_batch(self) -> _Batch:
        batch: list[_Waiting] = []
        share, most = self._share(), self._batch_bytes()
        size = 0
        if self._large:
            share = min(share, max(1, int(self._max_batch * (1 - _LARGE_SHARE))))
            most = int(most * (1 - _LARGE_SHARE))
        while self._queue and len(batch) < share:
            # Measurements since its arrival may show that it exceeds a batch.
            if batch and size + self._queue[0].size > most:
                break
            waiting = self._queue.popleft()
            self._bytes -= waiting.size
            # Its client may have disconnected.
            if not waiting.answer.done():
                batch.append(waiting)
                size += waiting.size
        singles = items = len(batch)
        room, most = self._room(singles), self._batch_bytes()
        while self._large and items < singles + room and (items == singles or size < most):
            large = self._large.popleft()
            if large.answer.done():
                continue
            before = len(large.request)
            batch.append(self._next_part(large, singles + room - items, most - size))
            items += before - len(large.request)
            size += batch[-1].size
            if len(large.request):
                self._large.append(large)
        return _Batch(batch, singles, items, size)

    def _room(self, singles: int) -> int:
        """Return the number of items of large requests to send with so many single requests."""
        wanted = max(int(self._part_items) - singles, int(_LARGE_SHARE * singles))
        return max(1, min(wanted, self._max_batch - singles))

    def _next_part(self, large: _Large, count: int, size: int) -> _Waiting:
        answer = asyncio.get_running_loop().create_future()
        answer.add_done_callback(partial(self._part_ended, large, large.parts))
        large.parts += 1
        part = large.request.part(count, size)
        return _Waiting(time.monotonic(), part, _size(part), answer)

    @staticmethod
    def _part_ended(large: _Large, number: int, part: asyncio.Future[Any]) -> None:
        failure = None if part.cancelled() else part.exception()
        if large.answer.done():
            return
        if part.cancelled():
            large.answer.cancel()
        elif failure is not None:
            large.answer.set_exception(failure)
        elif (answer := large.request.add(number, part.result())) is not None:
            large.answer.set_result(answer)

    def _done(self, task: asyncio.Task[None]) -> None:
        batch = self._tasks.pop(task)
        for waiting in batch.waiting:
            waiting.answer.cancel()
        self._under_way -= batch.singles
        self._slots.release(batch.heavy)

    async def _answer(self, batch: _Batch) -> None:
        started = time.monotonic()
        try:
            answers = await self._callback(tuple(waiting.request for waiting in batch.waiting))
            self._learn(batch, time.monotonic() - started)
            for waiting, answer in zip(batch.waiting, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)
        except Exception as error:  # each of its requests answers with it
            for waiting in batch.waiting:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)

    def _learn(self, batch: _Batch, seconds: float) -> None:
        if batch.apart:
            # A long text takes less time per byte than several short ones.
            return
        if batch.size >= _LEAST_BYTES:
            a_byte = seconds / batch.size
            self._seconds_a_byte += _LEARNING_RATE * (a_byte - self._seconds_a_byte)
        each = max(1e-6, seconds / batch.items)
        self._seconds_each += _LEARNING_RATE * (each - self._seconds_each)
        if batch.items == batch.singles:
            return
        change = _PART_SECONDS / max(seconds, 1e-6)
        # A batch that was small for lack of requests does not predict larger ones.
        if change < 1 or batch.items >= int(self._part_items):
            items = self._part_items * min(max(change, 0.5), 2.0)
            self._part_items = float(min(max(items, _LEAST_ITEMS), self._max_batch))


def _size(request: Any) -> int:
    return len(getattr(request, "body", None) or b"")
