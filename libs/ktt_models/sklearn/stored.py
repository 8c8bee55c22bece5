"""A trained solver as a checkpoint holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import load_scorer
from ktt_models.sklearn.contract import Arrays, Levels, Scorer

__all__ = ["StoredSolver"]

# Importing and compiling a solver takes as long as numpy needs for about so many rows, at 1 or 2 ms
# each.
_ROWS_BEFORE_COMPILING = 2000


class StoredSolver:
    """Answers with numpy at once, and compiles the solver when there turns out to be much to do.

    Parameters
    ----------
    taxonomy : Taxonomy
    arrays, params
        What the solver's `state_dict` returned.
    restore : callable
        Makes the solver of these.
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
        """Compile the solver now if so many rows more are reason enough."""
        if self._solver is None and self._n_rows + n_rows > _ROWS_BEFORE_COMPILING:
            self._solver = self._restore(*self._state)

    def answer(self, rows: CsrRows) -> Levels:
        """Return the scores of rows that are not counted as work: of a trial, say."""
        return (self._solver or self._scorer).level_scores(rows)

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Return the trained weights, and what is JSON."""
        return self._state
