"""Timing of a training step's phases, for benchmarks."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import torch

__all__ = ["PHASES", "Mark", "StepTimer", "Throughput", "ignore_mark"]

#: Phases of a step: waiting for its batch, its computation, and the rest.
PHASES = ("input", "forward", "backward", "optimizer", "rest")

#: Called with the name of each phase at its start.
Mark = Callable[[str], None]


def ignore_mark(phase: str) -> None:
    """Measure nothing: the default."""


class StepTimer:
    """Adds up the time of each phase; set it as a model's `mark`.

    It synchronises with the device at each mark, unlike training itself.

    Attributes
    ----------
    seconds : dict of str to float
        By phase; what happens between epochs (validation, checkpoints) is under "between".
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys((*PHASES, "between"), 0.0)
        self._phase = "between"
        self._since = time.perf_counter()

    def __call__(self, phase: str) -> None:
        """Begin a phase."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds[self._phase] += now - self._since
        self._phase, self._since = phase, now

    def shares(self) -> dict[str, float]:
        """Return each phase's share of the steps' time."""
        steps = {phase: self.seconds[phase] for phase in PHASES}
        total = sum(steps.values()) or 1.0
        return {phase: seconds / total for phase, seconds in steps.items()}


class Throughput:
    """Texts per second over the last steps."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque(maxlen=32)

    def begin(self) -> None:
        """Restart the measurement, after time without training."""
        self._ends.clear()
        self._ends.append((time.monotonic(), 0))

    def after(self, rows: int) -> float:
        """Return the rate after a step of so many rows."""
        self._ends.append((time.monotonic(), rows))
        (first, before), (last, _) = self._ends[0], self._ends[-1]
        rows_since = sum(count for _, count in self._ends) - before
        return rows_since / max(last - first, 1e-9)
