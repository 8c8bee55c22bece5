"""Progress of long work, as plain values that cross process boundaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Progress", "ProgressCallback", "ignore_progress"]


@dataclass(frozen=True)
class Progress:
    """One step of a long piece of work.

    Attributes
    ----------
    phase : str
        What is being done: "import", "features", "fit", "validate", "test", "reference" ...
    step : int
        Units done in this phase.
    total : int or None
        Units in this phase; None while unknown.
    unit : str
        What a unit is: "rows", "epochs" ...
    metrics : mapping of str to float
        Figures known by now, by their names in `ktt_core.metrics`.
    """

    phase: str
    step: int = 0
    total: int | None = None
    unit: str = "steps"
    metrics: Mapping[str, float] = field(default_factory=dict)


ProgressCallback = Callable[[Progress], None]


def ignore_progress(event: Progress) -> None:
    """Drop the event: the default when nobody watches."""
