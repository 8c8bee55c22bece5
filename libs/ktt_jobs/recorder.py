"""Rate limit for stored progress, with the estimated end of the phase."""

from __future__ import annotations

import time
from collections.abc import Callable

from ktt_core.eta import EtaEstimator
from ktt_core.progress import Progress

__all__ = ["ProgressRecorder"]

# Events stored per second in the first ten minutes or so; later fewer.
_RATE = 4.0
_LATER_RATE = 1.0
_MANY = 2400
# Short bursts are stored immediately.
_BURST = 4.0


class ProgressRecorder:
    """Stores the newest progress a few times per second; a phase's first and last step first.

    The last progress of a phase, such as the metrics of a validation, is always stored.

    Parameters
    ----------
    store : callable
        Called with a progress, and the seconds until its phase ends or None.
    clock : callable
        Monotonic clock in seconds.
    """

    def __init__(
        self,
        store: Callable[[Progress, float | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._clock = clock
        self._waiting: Progress | None = None
        self._phase: tuple[str, int | None] | None = None
        self._eta = EtaEstimator(clock)
        self._stored = 0
        self._tokens = _BURST
        now = clock()
        self._refilled = self._last = now

    def offer(self, progress: Progress) -> None:
        """Accept a progress; store it now, or later unless a newer one replaces it."""
        now = self._clock()
        phase = (progress.phase, progress.total)
        begins = phase != self._phase
        self._phase = phase
        if begins and self._waiting is not None and self._refill(now) >= 1:
            # The last progress of the phase that was interrupted.
            self._put(now)
        self._eta.update(progress)
        self._waiting = progress
        if progress.step == progress.total and progress.metrics and self._stored < _MANY:
            self._put(now)
        elif begins or progress.step == progress.total:
            if self._refill(now) >= 1:
                self._put(now)
        else:
            self.flush_due()

    def flush_due(self) -> None:
        """Store the pending progress if it is due."""
        now = self._clock()
        if self._waiting is not None and now - self._last >= 1 / self._rate:
            if self._refill(now) >= 1:
                self._put(now)

    def flush(self) -> None:
        """Store the pending progress now."""
        if self._waiting is not None:
            self._put(self._clock())

    @property
    def _rate(self) -> float:
        return _RATE if self._stored < _MANY else _LATER_RATE

    def _refill(self, now: float) -> float:
        self._tokens = min(_BURST, self._tokens + (now - self._refilled) * self._rate)
        self._refilled = now
        return self._tokens

    def _put(self, now: float) -> None:
        progress, self._waiting = self._waiting, None
        assert progress is not None
        self._tokens -= 1
        self._last = now
        self._stored += 1
        rest = self._eta.remaining(progress)
        # In microseconds, the resolution of messages, so that watchers see the stored value.
        self._store(progress, None if rest is None else round(rest, 6))
