import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.errors import ResourceExhaustedError
from ktt_rpc.limits import ConcurrencyLimit, LimitReachedError, RateLimit


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_of_two_seconds_worth_passes_and_then_the_rate():
    clock = Clock()
    limit = RateLimit(10, clock)
    for _ in range(20):
        limit.take("a")
    with pytest.raises(LimitReachedError) as raised:
        limit.take("a")
    assert raised.value.retry_after == pytest.approx(0.1)
    limit.take("b")  # has a bucket of its own
    clock.now += raised.value.retry_after + 1e-9
    limit.take("a")
    with pytest.raises(LimitReachedError):
        limit.take("a")


@settings(deadline=None)
@given(st.lists(st.floats(0, 3), max_size=200), st.floats(0.5, 50))
def test_never_more_than_the_rate_and_one_burst_pass(waits, rate):
    clock = Clock()
    limit = RateLimit(rate, clock)
    passed = 0
    for wait in waits:
        clock.now += wait
        try:
            limit.take("a")
        except LimitReachedError:
            continue
        passed += 1
    assert passed <= max(1.0, 2 * rate) + rate * clock.now + 1e-6


def test_no_rate_is_no_limit():
    limit = RateLimit(0)
    for _ in range(10_000):
        limit.take("a")


def test_ever_new_peers_take_no_ever_more_memory():
    limit = RateLimit(1)
    for number in range(30_000):
        limit.take(str(number))
    assert len(limit._buckets) <= 10_000


def test_places_are_given_back_whatever_happens():
    limit = ConcurrencyLimit(1, "calls")
    for _ in range(3):
        with pytest.raises(KeyError), limit.acquire():
            with pytest.raises(ResourceExhaustedError, match="1 calls"), limit.acquire():
                pass
            raise KeyError
    assert limit.in_use == 0
