"""A stored solver gives the same answers whether few or many are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_models.sklearn import stored
from ktt_models.sklearn.contract import Arrays, Scorer
from ktt_models.sklearn.solvers import FlatSGDClassifier, HierarchicalSGDClassifier
from ktt_models.sklearn.stored import StoredSolver

TEXTS = ["running shoes", "tennis ball", "electric guitar"]
TAXONOMY = Taxonomy.from_paths([("Sport", "Shoes"), ("Sport", "Balls"), ("Music", "Guitars")])
CODES = TAXONOMY.leaf_codes[[2, 1, 0]]


@pytest.mark.parametrize("solver_class", [FlatSGDClassifier, HierarchicalSGDClassifier])
def test_the_solver_is_made_when_there_is_much_to_score(
    solver_class: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = TfidfVectorizer(char_min_df=1).fit([TEXTS]).transform(TEXTS)
    solver = solver_class(TAXONOMY, epochs=2, n_jobs=1).fit(rows, CODES)
    made: list[Scorer] = []

    def restore(arrays: Arrays, params: dict[str, Any]) -> Scorer:
        made.append(solver_class.from_state(TAXONOMY, arrays, params))
        return made[-1]

    monkeypatch.setattr(stored, "_ROWS_BEFORE_COMPILING", 5)
    arrays, params = solver.state_dict()
    lazy = StoredSolver(TAXONOMY, arrays, params, restore)
    lazy.answer(rows)
    lazy.expect(2)
    few = lazy.level_scores(rows)
    lazy.answer(rows)
    assert made == [], "a trial is no work, and the rows to come are few"
    many = lazy.level_scores(rows)
    lazy.level_scores(rows)
    assert len(made) == 1
    for one, other, original in zip(few, many, solver.level_scores(rows), strict=True):
        np.testing.assert_allclose(one, original, atol=1e-4)
        np.testing.assert_allclose(other, original, atol=1e-4)
    assert lazy.state_dict() == solver.state_dict()


def test_the_solver_is_made_before_the_rows_when_many_are_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = TfidfVectorizer(char_min_df=1).fit([TEXTS]).transform(TEXTS)
    solver = FlatSGDClassifier(TAXONOMY, epochs=2, n_jobs=1).fit(rows, CODES)
    made: list[Scorer] = []

    def restore(arrays: Arrays, params: dict[str, Any]) -> Scorer:
        made.append(FlatSGDClassifier.from_state(TAXONOMY, arrays, params))
        return made[-1]

    monkeypatch.setattr(stored, "_ROWS_BEFORE_COMPILING", 5)
    lazy = StoredSolver(TAXONOMY, *solver.state_dict(), restore)
    lazy.expect(6)
    assert len(made) == 1
    lazy.level_scores(rows)
    lazy.level_scores(rows)
    assert len(made) == 1
