"""When work will be done, from how far it has come so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ktt_core.progress import Progress

__all__ = ["EtaEstimator"]


@dataclass
class _Course:
    """A phase: where and when it was first seen, and where it is."""

    total: int | None
    first_step: int
    first_time: float
    step: int


class EtaEstimator:
    """Estimates when each phase ends, at the pace it has had since it was first seen.

    A phase that another one comes between, such as training that stops for a validation after each
    epoch, goes on where it was: what comes between counts as its time.

    Parameters
    ----------
    clock : callable
        Returns seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._courses: dict[str, _Course] = {}

    def update(self, progress: Progress) -> None:
        """Take note of a progress."""
        course = self._courses.get(progress.phase)
        if course is not None and course.total == progress.total and progress.step >= course.step:
            course.step = progress.step
            return
        now = self._clock()
        self._courses[progress.phase] = _Course(progress.total, progress.step, now, progress.step)

    def remaining(self, progress: Progress) -> float | None:
        """Return the seconds from now to the end of a phase that was seen; None while unknown."""
        course = self._courses.get(progress.phase)
        if course is None or progress.total is None:
            return None
        rest = progress.total - progress.step
        done = progress.step - course.first_step
        if rest <= 0:
            return 0.0
        if done <= 0:
            return None
        return (self._clock() - course.first_time) / done * rest
