"""Large requests: cut into parts that leave room for others, and answered whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_serving.dispatcher import FairDispatcher, Slots
from ktt_serving.event_loop_fixtures import run, settled


class Numbers:
    """A request to double several numbers; a part is a list of them."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = list(numbers)
        self.body = b"1" * len(self.numbers)
        self.parts: list[list[int]] = []
        self.answers: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self.numbers)

    largest = 1

    def part(self, count: int, size: int) -> list[int]:
        self.parts.append(self.numbers[:count])
        del self.numbers[:count]
        return self.parts[-1]

    def add(self, number: int, answer: Any) -> Any:
        if answer == "failed":
            return f"failed in part {number}"
        self.answers[number] = answer
        if self.numbers or len(self.answers) < len(self.parts):
            return None
        return [value for number in range(len(self.parts)) for value in self.answers[number]]


class Workers:
    """Doubles numbers and lists of them; one batch, of so many items, may end when told to."""

    def __init__(self, seconds_each: float = 0.0) -> None:
        self.batches: list[list[Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.seconds_each = seconds_each
        self.broken: int | None = None

    async def __call__(self, batch: Sequence[Any]) -> Sequence[Any]:
        self.batches.append(list(batch))
        await asyncio.sleep(self.seconds_each * items(batch))
        await self.gate.wait()
        return [self._answer(request) for request in batch]

    def _answer(self, request: Any) -> Any:
        if not isinstance(request, list):
            return 2 * request
        return "failed" if self.broken in request else [2 * number for number in request]


def items(batch: Sequence[Any]) -> int:
    return sum(len(request) if isinstance(request, list) else 1 for request in batch)


def dispatcher(slots: Slots, max_batch: int = 64) -> FairDispatcher:
    return FairDispatcher(
        max_batch,
        slots,
        fallback=lambda: "given up",
        divide=lambda request: request if isinstance(request, Numbers) else None,
    )


# A busy machine takes its time.
@settings(deadline=None)
@given(
    clients=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 70)), min_size=1, max_size=30),
    count=st.integers(1, 3),
    max_batch=st.integers(1, 20),
)
def test_everyone_is_answered_whole_and_in_order(
    clients: list[tuple[int, int]], count: int, max_batch: int
) -> None:
    async def main() -> None:
        workers = Workers()
        ask = dispatcher(Slots(count), max_batch)(workers)

        async def client(number: int) -> None:
            pause, size = clients[number]
            await settled(pause)
            if size == 0:
                assert await ask(number) == 2 * number
            else:
                numbers = range(1000 * number, 1000 * number + size)
                assert await ask(Numbers(numbers)) == [2 * value for value in numbers]

        await asyncio.gather(*map(client, range(len(clients))))
        # With a batch full of single ones, large ones are one item over.
        assert max(map(items, workers.batches)) <= max_batch + 1
        assert sum(map(items, workers.batches)) == sum(max(1, size) for _, size in clients)

    run(main())


def test_a_single_request_waits_for_one_part_of_a_large_one() -> None:
    async def main() -> None:
        workers = Workers()
        workers.gate.clear()
        ask = dispatcher(Slots(1))(workers)
        large = asyncio.ensure_future(ask(Numbers(range(1000))))
        await settled()
        singles = [asyncio.ensure_future(ask(-number)) for number in range(1, 4)]
        await settled()
        workers.gate.set()
        assert await asyncio.gather(*singles) == [-2, -4, -6]
        assert not large.done()
        assert [value for value in workers.batches[1] if not isinstance(value, list)] == [
            -1,
            -2,
            -3,
        ]
        assert items(workers.batches[0]) <= 16
        assert await large == [2 * number for number in range(1000)]

    run(main())


def test_a_large_request_has_its_share_while_others_never_stop() -> None:
    async def main() -> None:
        workers = Workers()
        ask = dispatcher(Slots(1), max_batch=8)(workers)
        ended = asyncio.Event()

        async def client() -> None:
            while not ended.is_set():
                await ask(1)

        clients = [asyncio.ensure_future(client()) for _ in range(40)]
        await settled()
        workers.batches.clear()
        assert await ask(Numbers(range(100))) == [2 * number for number in range(100)]
        ended.set()
        # Two of eight.
        assert len(workers.batches) <= 55
        assert all(len(batch) > 6 for batch in workers.batches[1:-1])
        await asyncio.gather(*clients)

    run(main())


def test_large_requests_take_turns() -> None:
    async def main() -> None:
        workers = Workers()
        workers.gate.clear()
        ask = dispatcher(Slots(1), max_batch=10)(workers)
        asked = [asyncio.ensure_future(ask(Numbers([name] * 30))) for name in (1, 2, 3)]
        await settled()
        workers.gate.set()
        await asyncio.gather(*asked)
        assert [batch[0][0] for batch in workers.batches] == [1, 2, 3] * 3

    run(main())


def test_parts_are_as_large_as_a_moment_allows() -> None:
    async def main() -> None:
        ask = dispatcher(Slots(1))(slow := Workers(seconds_each=0.01))
        await ask(Numbers(range(120)))
        # A twentieth of a second is five of them, and fewer than eight cost more than they save.
        assert items(slow.batches[-2]) == 8
        ask = dispatcher(Slots(1))(quick := Workers())
        await ask(Numbers(range(400)))
        assert items(quick.batches[3]) == 64

    run(main())


def test_both_processes_work_on_a_large_request() -> None:
    async def main() -> None:
        workers = Workers(seconds_each=0.002)
        started = time.monotonic()
        await dispatcher(Slots(2))(workers)(Numbers(range(200)))
        assert time.monotonic() - started < 0.36

    run(main())


def test_a_part_that_fails_ends_the_whole() -> None:
    async def main() -> None:
        workers = Workers()
        workers.broken = 20
        ask = dispatcher(Slots(1), max_batch=16)(workers)
        assert await ask(Numbers(range(160))) == "failed in part 1"
        await settled()
        assert len(workers.batches) <= 3

        async def gone(batch: Sequence[Any]) -> Sequence[Any]:
            raise OSError("the worker is gone")

        with pytest.raises(OSError, match="the worker is gone"):
            await dispatcher(Slots(1))(gone)(Numbers(range(160)))

    run(main())


def test_the_rest_of_what_nobody_waits_for_is_not_computed() -> None:
    async def main() -> None:
        workers = Workers()
        workers.gate.clear()
        ask = dispatcher(Slots(1))(workers)
        large = asyncio.ensure_future(ask(Numbers(range(1000))))
        await settled()
        large.cancel()
        await settled()
        workers.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await large
        assert await ask(7) == 14
        assert len(workers.batches) == 2

    run(main())


def test_large_requests_that_are_too_many_are_refused_and_no_single_one_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ktt_serving.dispatcher._MOST_ITEMS", 50)

    async def main() -> None:
        workers = Workers()
        workers.gate.clear()
        ask = dispatcher(Slots(1))(workers)
        asked = []
        for _ in range(3):
            asked.append(asyncio.ensure_future(ask(Numbers(range(30)))))
            await settled()
        single = asyncio.ensure_future(ask(1))
        await settled()
        workers.gate.set()
        # Half of the first is under way.
        assert [len(answer) for answer in await asyncio.gather(*asked)] == [30, 30, len("given up")]
        assert await single == 2
        assert len(await ask(Numbers(range(30)))) == 30

    run(main())


@pytest.mark.parametrize("turns", range(0, 12, 3))
def test_at_the_end_large_ones_are_given_up_too(turns: int) -> None:
    async def main() -> None:
        workers = Workers()
        workers.gate.clear()
        made = dispatcher(Slots(1))
        asked = [asyncio.ensure_future(made(workers)(Numbers(range(90)))) for _ in range(3)]
        await settled(turns)
        await made.shutdown()
        await settled()
        await made.shutdown()
        assert await asyncio.gather(*asked) == ["given up"] * 3

    run(main())
