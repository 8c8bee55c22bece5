"""The interface of a model's solver, before and after training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ktt_core.tfidf.rows import CsrRows

__all__ = ["Arrays", "Levels", "Scorer", "Solver"]

Levels = Sequence[NDArray[np.float32]]
Arrays = dict[str, NDArray[Any]]


class Scorer(Protocol):
    """A trained linear classifier over sparse rows."""

    def level_scores(self, rows: CsrRows) -> Levels:
        """Return the scores that `ktt_core.model.Model.level_scores` returns."""

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Return the trained arrays and the JSON values."""


class Solver(Scorer, Protocol):
    """A trainable linear classifier over sparse rows, as in `ktt_models.sklearn.solvers`."""

    def fit(
        self,
        rows: CsrRows,
        codes: NDArray[np.int32],
        *,
        on_epoch: Callable[[int, int, dict[str, float]], None] | None = None,
    ) -> Any:
        """Train on rows and their level-local codes, shape (rows, depth)."""
