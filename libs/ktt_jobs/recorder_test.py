"""Few events are stored, the right ones, with the time that is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktt_core.progress import Progress
from ktt_jobs.recorder import ProgressRecorder


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def recorder():
    clock, stored = Clock(), []
    return (
        ProgressRecorder(lambda progress, eta: stored.append((clock.now, progress, eta)), clock),
        clock,
        stored,
    )


def test_a_short_phase_shows_its_first_and_last_step():
    record, _, stored = recorder()
    for step in range(101):
        record.offer(Progress("fit", step, 100))
    assert [progress.step for _, progress, _ in stored] == [0, 100]


def test_the_newest_is_stored_when_nothing_comes_after_it():
    record, clock, stored = recorder()
    record.offer(Progress("fit", 0, 100))
    record.offer(Progress("fit", 1, 100))
    record.offer(Progress("fit", 2, 100))
    record.flush_due()
    assert len(stored) == 1
    clock.now += 0.3
    record.flush_due()
    assert stored[-1][1].step == 2
    record.flush()
    assert len(stored) == 2


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["fit", "test"]), st.integers(0, 5)),
        max_size=200,
    )
)
def test_never_more_than_four_per_second_after_the_first_and_in_order(offers):
    record, clock, stored = recorder()
    start, offered = clock.now, []
    for pause, phase, step in offers:
        clock.now += pause
        offered.append(Progress(phase, step, 5))
        record.offer(offered[-1])
        record.flush_due()
    assert len(stored) <= 4 * (clock.now - start) + 4
    record.flush()
    # What is stored was offered, in that order, and ends with the newest.
    rest = iter(offered)
    assert all(any(progress is offer for offer in rest) for _, progress, _ in stored)
    assert not offered or stored[-1][1] is offered[-1]


def test_a_long_job_stores_less_often():
    record, clock, stored = recorder()
    for step in range(40_000):
        clock.now += 0.1
        record.offer(Progress("fit", step, 100_000))
    assert 2400 + (4000 - 600) * 0.8 < len(stored) < 2400 + (4000 - 600) * 1.1 + 10


def test_the_time_left_is_at_the_phase_s_own_pace():
    record, clock, stored = recorder()
    record.offer(Progress("slow", 0, 2))
    clock.now += 1000
    record.offer(Progress("fit", 10, 110))
    assert stored[-1][2] is None
    clock.now += 5
    record.offer(Progress("fit", 60, 110))
    assert stored[-1][2] == pytest.approx(5)
    clock.now += 5
    record.offer(Progress("fit", 110, 110))
    assert stored[-1][2] == 0
    clock.now += 1
    record.offer(Progress("read", 7))
    assert stored[-1][2] is None


def test_what_validations_come_to_is_stored_however_fast_they_are():
    record, _, stored = recorder()
    for epoch in range(20):
        for step in range(10):
            record.offer(Progress("fit", 10 * epoch + step, 200))
        record.offer(Progress("validate", 5, 5, "rows", {"loss": 1 / (epoch + 1)}))
    told = [progress.metrics["loss"] for _, progress, _ in stored if progress.metrics]
    assert told == [1 / (epoch + 1) for epoch in range(20)]


def test_how_far_a_phase_was_when_another_came_between_is_stored():
    record, clock, stored = recorder()
    record.offer(Progress("fit", 0, 200))
    record.offer(Progress("fit", 9, 200))
    record.offer(Progress("fit", 10, 200))
    record.offer(Progress("validate", 0, 5))
    assert [(progress.phase, progress.step) for _, progress, _ in stored] == [
        ("fit", 0),
        ("fit", 10),
        ("validate", 0),
    ]
