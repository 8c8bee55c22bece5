"""A trained solver from a checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import load_scorer
from ktt_models.sklearn.contract import Arrays, Levels, Scorer

__all__ = ["StoredSolver"]

# Rows that numpy scores in about the time of importing and compiling a solver, at 1 or 2 ms each.
_ROWS_BEFORE_COMPILING = 2000


class StoredSolver:
    """Scores with numpy first, and compiles the solver after many rows.

    Parameters
    ----------
    taxonomy : Taxonomy
    arrays, params
        Result of the solver's `state_dict`.
    restore : callable
        Creates the solver from these.
    kind : {"hierarchical", "flat"}, optional
        The kind the solver must be of.

    Raises
    ------
    CheckpointError
        If the arrays are damaged or of another taxonomy, or the solver is of another kind.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        arrays: Arrays,
        params: dict[str, Any],
        restore: Callable[[Arrays, dict[str, Any]], Scorer],
        kind: str | None = None,
    ) -> None:
        self._scorer = load_scorer(taxonomy, arrays, params, kind)
        self._state = arrays, params
        self._restore = restore
        self._solver: Scorer | None = None
        self._n_rows = 0

    def level_scores(self, rows: CsrRows) -> Levels:
        """Return the scores that `ktt_core.model.Model.level_scores` returns."""
        self._n_rows += rows.n_rows
        self.expect(0)
        return self.answer(rows)

    def expect(self, n_rows: int) -> None:
        """Compile the solver now if that pays off for so many further rows."""
        if self._solver is None and self._n_rows + n_rows > _ROWS_BEFORE_COMPILING:
            self._solver = self._restore(*self._state)

    def answer(self, rows: CsrRows) -> Levels:
        """Return scores without counting the rows, for example for a check."""
        return (self._solver or self._scorer).level_scores(rows)

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Return the trained arrays and the JSON values."""
        return self._state
