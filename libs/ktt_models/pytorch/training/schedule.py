"""Learning-rate schedule: warm-up, then decay."""

from __future__ import annotations

import math

__all__ = ["rate_factor"]


def rate_factor(step: int, total: int, warmup: float, schedule: str) -> float:
    """Return the factor of a group's highest rate at a step.

    Parameters
    ----------
    step : int
        From 0.
    total : int
        Steps of the whole run.
    warmup : float
        Share of the steps in which the rate rises linearly.
    schedule : {"linear", "cosine", "constant"}
        Decay to 0, linear or by half a cosine, or none.

    Returns
    -------
    float
        In [0, 1].
    """
    rising = round(warmup * total)
    if step < rising:
        return (step + 1) / rising
    if schedule == "constant":
        return 1.0
    done = (step - rising) / max(1, total - rising)
    return 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
