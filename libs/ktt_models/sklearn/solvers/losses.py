"""The compiled loss of one row, and its gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ktt_models.sklearn.solvers.compiling import compiled

__all__ = ["gradient_of"]


@compiled(nogil=True, fastmath=True, inline="always")
def gradient_of(scores: Any, n: int, target: int, huber: bool, weight: float) -> Any:
    """Overwrite scores with the loss's gradient; return its squared length and the loss."""
    squared = np.float32(0.0)
    if huber:
        loss = np.float32(0.0)
        for c in range(n):
            sign = np.float32(1.0) if c == target else np.float32(-1.0)
            margin = sign * scores[c]
            if margin >= 1:
                gradient = np.float32(0.0)
            elif margin >= -1:
                gradient = np.float32(-2.0) * sign * (1 - margin)
                loss += (1 - margin) * (1 - margin)
            else:
                gradient = np.float32(-4.0) * sign
                loss -= 4 * margin
            scores[c] = gradient * weight
            squared += scores[c] * scores[c]
        return squared, loss
    largest = scores[0]
    for c in range(1, n):
        largest = max(largest, scores[c])
    loss = largest - scores[target]
    total = np.float32(0.0)
    for c in range(n):
        scores[c] = math.exp(scores[c] - largest)
        total += scores[c]
    scale = np.float32(1.0) / total
    for c in range(n):
        gradient = scores[c] * scale
        if c == target:
            gradient -= np.float32(1.0)
        scores[c] = gradient * weight
        squared += scores[c] * scores[c]
    return squared, loss + math.log(total)
