"""Batches: whose requests they are, in what order and how many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktt_serving.dispatcher import FairDispatcher, Slots
from ktt_serving.event_loop_fixtures import run, settled


class Workers:
    """Answers a request with its double, and keeps what it was sent; batches end when told to."""

    def __init__(self) -> None:
        self.batches: list[Sequence[int]] = []
        self.at_once = self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken: set[int] = set()

    async def __call__(self, batch: Sequence[int]) -> Sequence[int]:
        self.batches.append(batch)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            await self.gate.wait()
            if self.broken & set(batch):
                raise OSError("the worker is gone")
            return [2 * request for request in batch]
        finally:
            self.at_once -= 1


def dispatcher(slots: Slots, max_batch: int = 64) -> FairDispatcher:
    return FairDispatcher(max_batch, slots, fallback=lambda: "given up")


@given(
    clients=st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=60),
    count=st.integers(1, 4),
    max_batch=st.integers(1, 9),
)
def test_everyone_is_answered_by_the_processes_there_are(
    clients: list[tuple[int, bool]], count: int, max_batch: int
) -> None:
    async def main() -> None:
        slots, workers = Slots(count), Workers()
        endpoints = [dispatcher(slots, max_batch)(workers) for _ in range(2)]

        async def client(number: int) -> int:
            await settled(sum(pause for pause, _ in clients[: number + 1]))
            answer: int = await endpoints[clients[number][1]](number)
            return answer

        numbers = range(len(clients))
        assert await asyncio.gather(*map(client, numbers)) == [2 * number for number in numbers]
        # Each once, and at its endpoint those that came first first.
        sent = [number for batch in workers.batches for number in batch]
        assert sorted(sent) == list(numbers)
        for endpoint in (False, True):
            of_it = [number for number in sent if clients[number][1] == endpoint]
            assert of_it == sorted(of_it)
        assert max(map(len, workers.batches)) <= max_batch
        assert workers.most_at_once <= count

    run(main())


def test_one_request_alone_waits_for_no_other() -> None:
    async def main() -> None:
        workers = Workers()
        asked = asyncio.ensure_future(dispatcher(Slots(1))(workers)(7))
        await settled(20)
        assert workers.batches == [(7,)]
        assert await asked == 14

    run(main())


def test_what_comes_together_goes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine may need longer between two turns than the oldest would wait.
    monkeypatch.setattr("ktt_serving.dispatcher._PATIENCE_SECONDS", 10)

    async def main() -> None:
        workers = Workers()
        ask = dispatcher(Slots(1))(workers)
        asked = []
        for number in range(12):
            asked.append(asyncio.ensure_future(ask(number)))
            await asyncio.sleep(0)
        await asyncio.gather(*asked)
        assert workers.batches == [tuple(range(12))]

    run(main())


def test_slow_requests_are_shared_among_the_processes() -> None:
    async def main() -> None:
        sizes: list[int] = []

        async def slow(batch: Sequence[int]) -> Sequence[int]:
            sizes.append(len(batch))
            await asyncio.sleep(0.04 * len(batch))
            return batch

        ask = dispatcher(Slots(2))(slow)
        for _ in range(30):
            await ask(0)
        sizes.clear()
        await asyncio.gather(*map(ask, range(8)))
        assert sizes == [4, 4]

    run(main())


def test_a_batch_that_fails_fails_alone() -> None:
    async def main() -> None:
        workers = Workers()
        workers.broken = {3}
        ask = dispatcher(Slots(1), max_batch=2)(workers)
        answers = await asyncio.gather(*map(ask, range(8)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [int] * 2 + [OSError] * 2 + [int] * 4

    run(main())


def test_what_nobody_waits_for_is_not_computed() -> None:
    async def main() -> None:
        workers = Workers()
        workers.gate.clear()
        ask = dispatcher(Slots(1), max_batch=1)(workers)
        asked = [asyncio.ensure_future(ask(number)) for number in range(4)]
        await settled()
        # One is under way, one waits.
        asked[0].cancel()
        asked[2].cancel()
        await settled()
        workers.gate.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        # They are told so, not refused.
        assert [isinstance(answer, asyncio.CancelledError) for answer in found[::2]] == [True] * 2
        assert found[1::2] == [2, 6]
        assert workers.batches == [(0,), (1,), (3,)]

    run(main())


def test_endpoints_take_turns() -> None:
    async def main() -> None:
        slots, workers = Slots(1), Workers()
        one, other = dispatcher(slots, 1)(workers), dispatcher(slots, 1)(workers)
        workers.gate.clear()
        asked = [asyncio.ensure_future(one(number)) for number in range(5)]
        await settled()
        asked += [asyncio.ensure_future(other(number)) for number in range(10, 13)]
        await settled()
        workers.gate.set()
        await asyncio.gather(*asked)
        assert [batch[0] for batch in workers.batches] == [0, 1, 10, 2, 11, 3, 12, 4]

    run(main())


@pytest.mark.parametrize("turns", range(12))
def test_at_the_end_all_are_given_up(turns: int) -> None:
    async def main() -> None:
        workers = Workers()
        workers.gate.clear()
        made = dispatcher(Slots(1), max_batch=1)
        asked = [asyncio.ensure_future(made(workers)(number)) for number in range(3)]
        await settled(turns)
        begun = [task for task in asked if not task.cancelled()]
        await made.shutdown()
        await settled()
        await made.shutdown()
        assert await asyncio.gather(*begun) == ["given up"] * 3

    run(main())


def test_what_is_too_much_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ktt_serving.dispatcher._MOST_WAITING", 3)
    monkeypatch.setattr("ktt_serving.dispatcher._MOST_BYTES", 10)

    async def main(bodies: list[bytes], refused: list[int]) -> None:
        class Request:
            def __init__(self, body: bytes) -> None:
                self.body = body

        async def answer(batch: Sequence[Request]) -> Sequence[bytes]:
            return [request.body for request in batch]

        ask = dispatcher(Slots(1))(answer)
        for _ in range(2):  # there is room again
            answers = await asyncio.gather(*(ask(Request(body)) for body in bodies))
            expected = [
                "given up" if number in refused else body for number, body in enumerate(bodies)
            ]
            assert answers == expected

    run(main([b"1"] * 5, [3, 4]))
    run(main([b"1" * 6, b"2" * 5, b"3" * 4], [1]))


def test_who_has_nothing_left_to_send_keeps_nobody_waiting() -> None:
    slots, called = Slots(1), []

    def asks(name: str, again: bool) -> Callable[[], bool]:
        def called_again() -> bool:
            called.append(name)
            return again

        return called_again

    assert slots.acquire(asks("has it", True))
    for name, again in (("has nothing", False), ("is next", True), ("comes later", True)):
        assert not slots.acquire(asks(name, again))
    slots.release()
    assert called == ["has nothing", "is next"]


@pytest.mark.parametrize("count", [1, 3])
def test_slots_are_no_more_than_there_are(count: int) -> None:
    slots = Slots(count)
    for _ in range(2):
        assert all(slots.acquire(bool) for _ in range(count))
        assert not slots.acquire(bool)
        for _ in range(count):
            slots.release()
