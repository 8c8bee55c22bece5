"""The end of a phase is estimated from its whole course, with all that came between."""

from __future__ import annotations

from ktt_core.pace import Pace
from ktt_core.progress import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def fit(step: int, total: int | None = 100) -> Progress:
    return Progress("fit", step, total, "steps")


def rest_after(pace: Pace, progress: Progress) -> float | None:
    pace.see(progress)
    return pace.rest(progress)


def test_the_rest_follows_from_the_steps_done() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert rest_after(pace, fit(0)) is None
    clock.now = 10.0
    assert rest_after(pace, fit(20)) == 40.0
    assert rest_after(pace, fit(100)) == 0.0


def test_what_comes_between_counts() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.see(fit(0))
    clock.now = 10.0
    pace.see(fit(50))
    pace.see(Progress("validate", 0, 4, "rows"))
    clock.now = 15.0
    assert rest_after(pace, Progress("validate", 2, 4, "rows")) == 5.0
    clock.now = 20.0
    # A second half takes what the first one took, with its validation.
    assert rest_after(pace, fit(50)) == 20.0
    # The next validation begins anew.
    assert rest_after(pace, Progress("validate", 1, 4, "rows")) is None


def test_a_continued_run_counts_its_own_steps_only() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.see(fit(80))
    clock.now = 5.0
    assert rest_after(pace, fit(90)) == 5.0


def test_without_a_total_nothing_is_known() -> None:
    assert rest_after(Pace(), fit(3, None)) is None
    assert Pace().rest(fit(3)) is None
