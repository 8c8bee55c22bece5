"""Progress events of long work, as plain values that cross process boundaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Progress", "ProgressCallback", "ignore_progress"]


@dataclass(frozen=True)
class Progress:
    """A progress event.

    Attributes
    ----------
    phase : str
        Current phase: "import", "features", "fit", "validate", "test", "reference" ...
    step : int
        Units completed in this phase.
    total : int or None
        Number of units of this phase; None while unknown.
    unit : str
        Name of the unit: "rows", "epochs" ...
    metrics : mapping of str to float
        Metrics known so far, by their names in `ktt_core.metrics`.
    """

    phase: str
    step: int = 0
    total: int | None = None
    unit: str = "steps"
    metrics: Mapping[str, float] = field(default_factory=dict)


ProgressCallback = Callable[[Progress], None]


def ignore_progress(event: Progress) -> None:
    """Ignore the event; the default callback."""
