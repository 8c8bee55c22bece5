"""Long texts: what a batch costs follows its bytes, and nobody waits for what others sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_serving.dispatcher import FairDispatcher, Slots
from ktt_serving.event_loop_fixtures import run, settled

_LONG = 960_000


class Text:
    """A request of so many bytes."""

    def __init__(self, size: int) -> None:
        self.body = b"a" * size


class Texts(Text):
    """A list of them; a part is one, too."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__(sum(sizes))
        self.sizes = list(sizes)
        self.largest = max(sizes)
        self.sent = 0
        self.answered = 0

    def __len__(self) -> int:
        return len(self.sizes)

    def part(self, count: int, size: int) -> Text:
        self.sent += 1
        taken = [self.sizes.pop(0)]
        while self.sizes and len(taken) < count and sum(taken) + self.sizes[0] <= size:
            taken.append(self.sizes.pop(0))
        return Text(sum(taken))

    def add(self, number: int, answer: int) -> int | None:
        self.answered += answer
        return self.answered if not self.sizes and self.answered == len(self.body) else None


class Workers:
    """Answers with the sizes of requests, after a time that follows them."""

    def __init__(self, seconds_a_byte: float = 0.0, seconds: float = 0.0) -> None:
        self.batches: list[list[int]] = []
        self.seconds_a_byte, self.seconds = seconds_a_byte, seconds
        self.heavy = self.most_heavy = 0

    async def __call__(self, batch: Sequence[Text]) -> Sequence[int]:
        sizes = [len(request.body) for request in batch]
        self.batches.append(sizes)
        is_heavy = max(sizes) > 100_000
        self.heavy += is_heavy
        self.most_heavy = max(self.most_heavy, self.heavy)
        await asyncio.sleep(self.seconds + self.seconds_a_byte * sum(sizes))
        self.heavy -= is_heavy
        return sizes


def dispatcher(slots: Slots) -> FairDispatcher:
    return FairDispatcher(
        64,
        slots,
        fallback=lambda: "given up",
        divide=lambda request: request if isinstance(request, Texts) else None,
    )


@settings(deadline=None)
@given(
    requests=st.lists(
        st.lists(st.sampled_from([1, 40, 5_000, 20_000, 70_000, _LONG]), min_size=1, max_size=6),
        min_size=1,
        max_size=30,
    ),
    count=st.integers(1, 3),
)
def test_everyone_is_answered_whatever_they_send(requests: list[list[int]], count: int) -> None:
    async def main() -> None:
        workers = Workers()
        ask = dispatcher(Slots(count))(workers)
        asked = [Text(sizes[0]) if len(sizes) == 1 else Texts(sizes) for sizes in requests]
        assert await asyncio.gather(*map(ask, asked)) == [sum(sizes) for sizes in requests]
        for batch in workers.batches:
            # What is more than a batch goes alone.
            assert len(batch) == 1 or sum(batch) <= 2 << 20
            assert len(batch) == 1 or max(batch) < _LONG
        assert workers.most_heavy <= max(1, count - 1)

    run(main())


def test_a_short_text_waits_for_no_long_one_where_there_are_two_processes() -> None:
    async def main() -> None:
        ask = dispatcher(Slots(2))(workers := Workers(seconds_a_byte=1e-6))
        long = [asyncio.ensure_future(ask(Text(_LONG))) for _ in range(10)]
        long += [asyncio.ensure_future(ask(Texts([_LONG, 50, _LONG])))]
        for _ in range(20):
            started = time.monotonic()
            assert await ask(Text(40)) == 40
            assert time.monotonic() - started < 0.5
        assert not any(task.done() for task in long)
        assert workers.most_heavy == 1
        for task in long:
            task.cancel()
        await settled()

    run(main())


@pytest.mark.parametrize("endpoints", [1, 2])
def test_a_single_process_takes_a_long_text_and_all_short_ones_in_turn(endpoints: int) -> None:
    async def main() -> None:
        slots, workers = Slots(1), Workers(seconds_a_byte=2e-8)
        asks = [dispatcher(slots)(workers) for _ in range(endpoints)]
        long = [asyncio.ensure_future(asks[0](Text(_LONG))) for _ in range(10)]
        await settled()
        for _ in range(5):
            assert await asyncio.gather(*(asks[-1](Text(40)) for _ in range(30))) == [40] * 30
        # One at a time of the long ones, between them.
        assert sum(task.done() for task in long) <= 7
        assert await asyncio.gather(*long) == [_LONG] * 10

    run(main())


def test_long_texts_have_their_turn_while_short_ones_never_stop() -> None:
    async def main() -> None:
        ask = dispatcher(Slots(1))(Workers(seconds=0.001))
        ended = asyncio.Event()

        async def client() -> None:
            while not ended.is_set():
                await ask(Text(40))

        clients = [asyncio.ensure_future(client()) for _ in range(200)]
        await settled()
        assert await asyncio.gather(*(ask(Text(_LONG)) for _ in range(5))) == [_LONG] * 5
        ended.set()
        await asyncio.gather(*clients)

    run(main())


def test_a_batch_has_the_bytes_that_a_moment_allows() -> None:
    async def main() -> None:
        ask = dispatcher(Slots(1))(slow := Workers(seconds_a_byte=4e-6))
        for _ in range(3):
            await asyncio.gather(*(ask(Text(3_000)) for _ in range(64)))
        # A twentieth of a second.
        assert 9_000 <= sum(slow.batches[-2]) <= 15_000
        # Short ones are never too many.
        slow.batches.clear()
        await asyncio.gather(*(ask(Text(75)) for _ in range(64)))
        assert len(slow.batches) == 1
        ask = dispatcher(Slots(1))(quick := Workers(seconds=0.002))
        for _ in range(25):
            await asyncio.gather(*(ask(Text(3_000)) for _ in range(64)))
        assert max(map(len, quick.batches)) == 64

    run(main())


def test_parts_of_a_list_have_no_more_bytes() -> None:
    async def main() -> None:
        ask = dispatcher(Slots(1))(workers := Workers(seconds_a_byte=1.5e-6))
        assert await ask(Texts([10_000] * 200)) == 2_000_000
        assert max(map(sum, workers.batches)) <= 50_000

    run(main())


def test_a_list_has_its_share_though_single_texts_fill_all_batches() -> None:
    async def main() -> None:
        ask = dispatcher(Slots(1))(Workers(seconds_a_byte=1.5e-6))
        ended = asyncio.Event()

        async def client() -> None:
            while not ended.is_set():
                await ask(Text(20_000))

        clients = [asyncio.ensure_future(client()) for _ in range(10)]
        await settled()
        assert await ask(Texts([5_000] * 8)) == 40_000
        ended.set()
        await asyncio.gather(*clients)

    run(main())


def test_long_texts_that_are_too_many_are_refused_and_no_short_one_is() -> None:
    async def main() -> None:
        ask = dispatcher(Slots(1))(Workers())
        asked = [asyncio.ensure_future(ask(Text(_LONG))) for _ in range(80)]
        short = asyncio.ensure_future(ask(Text(40)))
        found = await asyncio.gather(*asked)
        assert 60 <= found.count(_LONG) < 80 and set(found) == {_LONG, "given up"}
        assert await short == 40

    run(main())


def test_a_long_text_that_nobody_waits_for_is_not_computed() -> None:
    async def main() -> None:
        ask = dispatcher(Slots(1))(workers := Workers(seconds=0.01))
        asked = [asyncio.ensure_future(ask(Text(_LONG))) for _ in range(5)]
        await settled()
        for task in asked[1:]:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert await ask(Text(40)) == 40
        assert len(workers.batches) == 2

    run(main())


def test_slots_keep_one_for_what_is_not_heavy() -> None:
    slots, called = Slots(2), []

    def heavy_again() -> bool:
        called.append("heavy")
        return slots.acquire(heavy_again, heavy=True)

    assert slots.acquire(heavy_again, heavy=True)
    assert not slots.acquire(heavy_again, heavy=True)
    assert slots.acquire(bool)
    slots.release()
    # It is not its turn yet.
    assert called == []
    slots.release(heavy=True)
    assert called == ["heavy"]
