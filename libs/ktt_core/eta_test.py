"""The end of a phase is estimated from its whole course, with all that came between."""

from __future__ import annotations

from ktt_core.eta import EtaEstimator
from ktt_core.progress import Progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def fit(step: int, total: int | None = 100) -> Progress:
    return Progress("fit", step, total, "steps")


def rest_after(eta: EtaEstimator, progress: Progress) -> float | None:
    eta.update(progress)
    return eta.remaining(progress)


def test_the_rest_follows_from_the_steps_done() -> None:
    clock = Clock()
    eta = EtaEstimator(clock)
    assert rest_after(eta, fit(0)) is None
    clock.now = 10.0
    assert rest_after(eta, fit(20)) == 40.0
    assert rest_after(eta, fit(100)) == 0.0


def test_what_comes_between_counts() -> None:
    clock = Clock()
    eta = EtaEstimator(clock)
    eta.update(fit(0))
    clock.now = 10.0
    eta.update(fit(50))
    eta.update(Progress("validate", 0, 4, "rows"))
    clock.now = 15.0
    assert rest_after(eta, Progress("validate", 2, 4, "rows")) == 5.0
    clock.now = 20.0
    # A second half takes what the first one took, with its validation.
    assert rest_after(eta, fit(50)) == 20.0
    # The next validation begins anew.
    assert rest_after(eta, Progress("validate", 1, 4, "rows")) is None


def test_a_continued_run_counts_its_own_steps_only() -> None:
    clock = Clock()
    eta = EtaEstimator(clock)
    eta.update(fit(80))
    clock.now = 5.0
    assert rest_after(eta, fit(90)) == 5.0


def test_without_a_total_nothing_is_known() -> None:
    assert rest_after(EtaEstimator(), fit(3, None)) is None
    assert EtaEstimator().remaining(fit(3)) is None
