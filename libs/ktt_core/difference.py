"""What two classifiers differ by on the same rows."""

from __future__ import annotations

from dataclasses import dataclass

from ktt_core.documents import Document

__all__ = ["Difference"]


@dataclass(frozen=True)
class Difference(Document):
    """The difference of a metric between two classifiers.

    Attributes
    ----------
    value : float
        Difference over the original rows.
    low, high : float
        Bounds of its confidence interval.
    """

    value: float
    low: float
    high: float

    @property
    def sign(self) -> int:
        """1 or -1 if the whole interval is above or below 0, else 0: it may be chance."""
        return int(self.low > 0) - int(self.high < 0)
