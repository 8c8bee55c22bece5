"""Few rows are trained and scored with numpy alone, more by compiled loops, to the same numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows
from ktt_models.sklearn.solvers import FlatSGDClassifier, HierarchicalSGDClassifier

SOLVERS = [HierarchicalSGDClassifier, FlatSGDClassifier]
PATHS = [(a, f"{a}{b}", f"{a}{b}{c}") for a in "xyz" for b in "12" for c in "pqr"] + [
    ("w", "single", "only"),
    ("v", "pair", "one"),
    ("v", "pair", "two"),
]


def make_rows(n: int, seed: int) -> tuple[Taxonomy, CsrRows, Any]:
    """Rows of random features, of which a third are each twice the one before; some have none."""
    taxonomy = Taxonomy.from_paths(PATHS)
    generator = np.random.default_rng(seed)
    codes = taxonomy.leaf_codes[generator.integers(taxonomy.n_leaves, size=n)]
    dense = np.where(generator.random((n, 90)) < 0.15, generator.random((n, 90)), 0)
    dense[np.arange(n), codes[:, -1]] += 1
    dense[:, 30:60] = dense[:, :30] * 2
    dense[:2] = 0
    entries = np.nonzero(dense)
    indptr = np.append(0, np.cumsum((dense > 0).sum(axis=1)))
    rows = CsrRows(
        indptr.astype(np.int64),
        entries[1].astype(np.int32),
        dense[entries].astype(np.float32),
        dense.shape[1],
    )
    return taxonomy, rows, codes


def fit_both(
    monkeypatch: pytest.MonkeyPatch, solver: type[Any], problem: tuple[Any, ...], **params: Any
) -> tuple[Any, Any]:
    taxonomy, rows, codes = problem
    found = []
    for visits in (1 << 40, 0):
        monkeypatch.setattr(solver, "plain_visits", visits)
        found.append(solver(taxonomy, n_jobs=1, **params).fit(rows, codes))
    return found[0], found[1]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"loss": "modified_huber"},
        {"class_weight": "balanced", "restart_every": None},
        {"alpha": 0.1, "epochs": 3, "restart_every": 1},
        {"max_weights": 600},
    ],
    ids=str,
)
@pytest.mark.parametrize("n", [20, 150])
def test_both_ways_come_to_the_same_weights(
    monkeypatch: pytest.MonkeyPatch, solver: type[Any], params: dict[str, Any], n: int
) -> None:
    problem = make_rows(n, seed=n)
    plain, compiled = (model.weights_ for model in fit_both(monkeypatch, solver, problem, **params))
    for name in ("feature_start", "pair_node", "pair_start", "pair_scale"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(compiled, name), err_msg=name)
    # The second loss has edges: on which side of one a row comes to lie, rounding may decide.
    tolerance = 2e-3 if params.get("loss") == "modified_huber" else 2e-5
    np.testing.assert_allclose(plain.stored, compiled.stored, atol=tolerance)
    np.testing.assert_allclose(plain.bias, compiled.bias, atol=tolerance)


@pytest.mark.parametrize("solver", SOLVERS)
def test_both_ways_give_the_same_answers(
    monkeypatch: pytest.MonkeyPatch, solver: type[Any]
) -> None:
    taxonomy, rows, codes = make_rows(600, seed=0)
    learned = taxonomy, rows.take(0, 200), codes[:200]
    plain, compiled = fit_both(monkeypatch, solver, learned)
    few = [plain.predict_proba(rows.take(start, start + 100)) for start in range(0, 600, 100)]
    assert not plain._compiles
    np.testing.assert_allclose(np.concatenate(few), compiled.predict_proba(rows), atol=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_few_rows_have_trained_compiles_when_many_are_to_be_scored(solver: type[Any]) -> None:
    taxonomy, rows, codes = make_rows(600, seed=0)
    model = solver(taxonomy, epochs=1, n_jobs=1).fit(rows.take(0, 50), codes[:50])
    few = model.level_scores(rows.take(0, 200))
    assert not model._compiles
    many = model.level_scores(rows)
    assert model._compiles
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(one, other[:200], atol=1e-5)


_TRAIN_A_FEW = """
import sys
from ktt_core.model import Batch
from ktt_core.registry import get_model
from ktt_core.taxonomy import Taxonomy
import numpy as np

taxonomy = Taxonomy.from_paths([(a, a + b) for a in "xyz" for b in "12"])

class Rows:
    def __init__(self, n):
        self.n_rows = n
        leaves = np.arange(n) % 6
        self.codes = taxonomy.leaf_codes[leaves]
        self.texts = [f"number {leaf} of word{leaf // 2}" for leaf in leaves]
    def __iter__(self):
        yield Batch({"text": self.texts}, self.codes)

for name in ("tfidf_hsgd", "tfidf_lsgd"):
    model_class = get_model(name)
    model = model_class(taxonomy, model_class.config_class())
    model.fit(Rows(160), Rows(20))
    model.test(Rows(20))
heavy = {"numba", "llvmlite", "sklearn", "scipy", "pandas", "torch", "sqlalchemy", "grpc"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_training_on_few_rows_imports_and_compiles_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TRAIN_A_FEW],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "[]", done.stderr
