"""Base of both solvers: parameters, checks, the loop over epochs, averaging, state."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError, DataError, InvalidArgumentError, TrainingError
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import FlatScorer, HierarchicalScorer
from ktt_core.tfidf.weights import BlockWeights, NodeLayout
from ktt_models.sklearn.solvers.parameters import Parameters
from ktt_models.sklearn.solvers.state import TrainingState, as_rows

__all__ = ["BlockSGDClassifier", "EpochCallback"]

EpochCallback = Callable[[int, int, dict[str, float]], None]
SolverT = TypeVar("SolverT", bound="BlockSGDClassifier")

# Row visits after which a mean over starts has converged.
_VISITS = 320_000
# Losses that can be minimised; scorers support more.
_LOSSES = ("softmax", "modified_huber")
# Scores computed at a time, over all threads.
_SCORED = 1 << 23

# Number of rows from which compiling pays off: numpy needs about a millisecond per row.
_COMPILED_BLOCK = 512


class BlockSGDClassifier(Parameters, ABC):
    """A linear classifier over a taxonomy, trained jointly by AdaGrad SGD on block-sparse weights.

    All classes are trained in one pass per epoch. A feature has weights at a node only if it occurs
    in training rows below that node, and then one per child.

    If the rows are separable, the result of SGD depends on their order. So it restarts from zero
    every `restart_every` epochs, and the weights are the mean over all starts of those at the end
    of each epoch except a start's first (Zinkevich et al., NIPS 2010, average independent runs so;
    the model is linear, so this averages the scores).

    Few rows are trained and scored with numpy alone, more by compiled loops, with results that
    differ by rounding. The choice depends on the rows, never on the machine.

    It has the methods of a scikit-learn estimator, and imports none of it.

    Parameters
    ----------
    taxonomy : Taxonomy
    loss : {"softmax", "modified_huber"}
        The cross-entropy of the softmax, or the squared-hinge-like loss of one class against the
        others.
    alpha : float
        L2 penalty ``alpha / 2 * |weights|^2`` on the sum of the rows' losses. 0: averaging and the
        step sizes alone regularise, which measured best.
    epochs : int or None
        Passes over the rows, over all starts. None: the solver's own default; for more than 40,000
        rows fewer, but at least 4: many rows leave less to the order in which they come.
    learning_rate : float or None
        AdaGrad's step size; None: the solver's own default.
    class_weight : {"balanced"} or None
        "balanced": a row weighs N / (n_classes * N_c), c its class.
    seed : int
        Of the order of the rows. The same seed gives the same weights.
    n_jobs : int or None
        Threads; None: all cores that the process may use. Does not change the result.
    restart_every : int or None
        Epochs per start; None: one start, as a penalty (`alpha`) that must be minimised exactly
        needs.
    max_weights : int
        At most this many weights (4 bytes each, twice while training); the rarest features of the
        widest nodes go first.
    """

    kind: ClassVar[str]
    default_learning_rate: ClassVar[float]
    default_epochs: ClassVar[int]
    #: Up to so many visits of rows, and of entries of them, numpy trains in about the time that it
    #: takes to import numba and to read compiled code; to compile takes several times that.
    plain_visits: ClassVar[int]
    plain_entries: ClassVar[int]

    def __init__(
        self,
        taxonomy: Taxonomy,
        *,
        loss: str = "softmax",
        alpha: float = 0.0,
        epochs: int | None = None,
        learning_rate: float | None = None,
        class_weight: str | None = None,
        seed: int = 0,
        n_jobs: int | None = None,
        restart_every: int | None = 2,
        max_weights: int = 120_000_000,
    ) -> None:
        self.taxonomy = taxonomy
        self.loss = loss
        self.alpha = alpha
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.class_weight = class_weight
        self.seed = seed
        self.n_jobs = n_jobs
        self.restart_every = restart_every
        self.max_weights = max_weights
        # Whether the compiled loops are used, which depends on the number of rows.
        self._compiles = False

    # -- training

    def fit(
        self: SolverT,
        rows: Any,
        codes: NDArray[np.int32],
        sample_weight: NDArray[np.float32] | None = None,
        on_epoch: EpochCallback | None = None,
    ) -> SolverT:
        """Train.

        Parameters
        ----------
        rows : CsrRows or scipy sparse matrix, shape (n, n_features)
        codes : ndarray of int32, shape (n, depth)
            The rows' paths in level-local classes.
        sample_weight : ndarray of float32, shape (n,), optional
        on_epoch : callable, optional
            Called after each epoch with its number from 1, the number of epochs and
            ``{"train_loss": ..., "pass": ...}``: the mean loss per row while training, and the how
            many-th pass since a start from zero it was. The loss of a first pass is that of weights
            that have seen few rows, and no measure of the others.

        Raises
        ------
        InvalidArgumentError
            If a parameter is outside its range.
        DataError
            If there are no rows, or the codes are not paths of the taxonomy.
        TrainingError
            If the weights do not stay finite.
        """
        self._check_parameters()
        matrix = as_rows(rows)
        codes = self._checked_codes(codes, matrix.n_rows)
        row_weights = np.ones(matrix.n_rows, dtype=np.float32)
        if sample_weight is not None:
            row_weights = np.ascontiguousarray(sample_weight, dtype=np.float32)
            if row_weights.shape != (matrix.n_rows,) or not np.all(row_weights >= 0):
                raise DataError("sample_weight must hold one number from 0 per row")
        epochs = self._n_epochs(matrix.n_rows)
        visits = epochs * matrix.n_rows, epochs * len(matrix.data)
        self._compiles = visits[0] > self.plain_visits or visits[1] > self.plain_entries
        state = self._start(matrix, codes, row_weights)
        every = min(epochs, self.restart_every or epochs)
        generator = np.random.default_rng(self.seed)
        for epoch in range(1, epochs + 1):
            since_start = (epoch - 1) % every
            order = generator.permutation(matrix.n_rows).astype(np.int32)
            # Weights after the first pass from zero differ too much from the rest to be averaged.
            is_summed = since_start > 0 or every == 1
            loss = state.run_epoch(order, since_start == 0, is_summed) / matrix.n_rows
            if not np.isfinite(loss):
                raise TrainingError(
                    f"training diverged in epoch {epoch}: lower learning_rate ({self.step_size})"
                )
            if on_epoch is not None:
                on_epoch(epoch, epochs, {"train_loss": float(loss), "pass": since_start + 1.0})
        self._use(state.finish())
        return self

    def _n_epochs(self, n_rows: int) -> int:
        if self.epochs is not None:
            return self.epochs
        return max(4, min(self.default_epochs, 2 * round(_VISITS / (2 * n_rows))))

    @property
    def step_size(self) -> float:
        """The learning rate that is used."""
        return self.default_learning_rate if self.learning_rate is None else self.learning_rate

    def _check_parameters(self) -> None:
        if self.loss not in _LOSSES:
            raise InvalidArgumentError(
                f"loss must be one of {', '.join(_LOSSES)}, not {self.loss!r}"
            )
        if self.class_weight not in (None, "balanced"):
            raise InvalidArgumentError(
                f'class_weight must be "balanced" or None, not {self.class_weight!r}'
            )
        for name, value, fits in (
            ("alpha", self.alpha, 0 <= self.alpha < np.inf),
            ("epochs", self.epochs, self.epochs is None or self.epochs >= 1),
            ("learning_rate", self.learning_rate, 0 < self.step_size < np.inf),
            ("n_jobs", self.n_jobs, self.n_jobs is None or self.n_jobs >= 1),
            (
                "restart_every",
                self.restart_every,
                self.restart_every is None or self.restart_every >= 1,
            ),
            ("max_weights", self.max_weights, self.max_weights >= 1),
        ):
            if not fits:
                raise InvalidArgumentError(f"{name} = {value!r} is outside its range")

    def _checked_codes(self, codes: NDArray[np.int32], n_rows: int) -> NDArray[np.int32]:
        found = np.asarray(codes, dtype=np.int32)
        if n_rows == 0:
            raise DataError("there are no rows to train on")
        if found.shape != (n_rows, self.taxonomy.depth):
            raise DataError(
                f"{n_rows} rows of a taxonomy with {self.taxonomy.depth} levels need codes of "
                f"that shape, not {found.shape}"
            )
        leaves = found[:, -1]
        if leaves.min() < 0 or leaves.max() >= self.taxonomy.n_leaves:
            raise DataError("a row's leaf is not in the taxonomy")
        if not np.array_equal(self.taxonomy.leaf_codes[leaves], found):
            raise DataError("a row's codes are not one path of the taxonomy")
        return found

    @abstractmethod
    def _start(
        self, rows: CsrRows, codes: NDArray[np.int32], row_weights: NDArray[np.float32]
    ) -> TrainingState:
        """Return zero weights, ready to be trained."""

    # -- answers

    @abstractmethod
    def _make_scorer(self, weights: BlockWeights) -> HierarchicalScorer | FlatScorer:
        """Return the scorer of this solver."""

    def _use(self, weights: BlockWeights) -> None:
        #: The fitted weights.
        self.weights_ = weights
        # Created when needed: best paths do not use it.
        self._runs: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self.classes_ = np.arange(self.taxonomy.n_leaves)
        self.scorer_ = self._make_scorer(weights)

    def level_scores(self, rows: Any) -> list[NDArray[np.float32]]:
        """See `ktt_core.tfidf.scorer.LinearScorer.level_scores`."""
        scorer, matrix = self._scorer(), as_rows(rows)
        self._compiles = self._compiles or matrix.n_rows >= _COMPILED_BLOCK
        return scorer.level_scores(matrix)

    def leaf_log_proba(self, rows: Any) -> NDArray[np.float32]:
        """Log-probability of every leaf's path, shape (n, n_leaves)."""
        levels = self.level_scores(rows)
        total = levels[0]
        for level in range(1, len(levels)):
            total = total[:, self.taxonomy.parent_of[level]] + levels[level]
        return total

    def predict_proba(self, rows: Any) -> NDArray[np.float32]:
        """Probability of every leaf, shape (n, n_leaves)."""
        return np.exp(self.leaf_log_proba(rows))

    def predict(self, rows: Any) -> NDArray[np.int32]:
        """Most probable path of each row in level-local classes, shape (n, depth)."""
        matrix = as_rows(rows)
        step = max(1, _SCORED // self.taxonomy.n_classes)
        best = [np.zeros(0, dtype=np.int64)]
        for start in range(0, matrix.n_rows, step):
            block = matrix.take(start, min(matrix.n_rows, start + step))
            best.append(self.leaf_log_proba(block).argmax(axis=1))
        return self.taxonomy.leaf_codes[np.concatenate(best)]

    def score(
        self, rows: Any, codes: NDArray[np.int32], sample_weight: NDArray[np.float32] | None = None
    ) -> float:
        """Share of rows whose whole path is right."""
        right = (self.predict(rows) == np.asarray(codes)).all(axis=1)
        return float(np.average(right, weights=sample_weight))

    def _scorer(self) -> HierarchicalScorer | FlatScorer:
        scorer: HierarchicalScorer | FlatScorer | None = getattr(self, "scorer_", None)
        if scorer is None:
            raise InvalidArgumentError("the classifier is not trained yet: call fit first")
        return scorer

    def _class_scores(self, rows: CsrRows) -> NDArray[np.float32]:
        """`BlockWeights.class_scores`; of many rows compiled, in threads over them."""
        if not self._compiles:
            return self.weights_.class_scores(rows)
        from ktt_models.sklearn.solvers.kernels import add_class_scores, add_pair_scores
        from ktt_models.sklearn.solvers.pairs import find_runs

        weights, layout = self.weights_, self.weights_.layout
        scores = np.repeat(weights.bias[None, :], rows.n_rows, axis=0)
        n_threads = max(1, min(self.n_threads, rows.n_rows // 16))
        edges = np.linspace(0, rows.n_rows, n_threads + 1).astype(int).tolist()
        if weights.pair_scale is None and self._runs is None:
            self._runs = find_runs(weights)

        def run(part: int) -> None:
            block = rows.take(edges[part], edges[part + 1])
            into = scores[edges[part] : edges[part + 1]]
            if self._runs is not None:
                add_class_scores(
                    block.indptr, block.indices, block.data, *self._runs, weights.weights, into
                )
                return
            add_pair_scores(
                block.indptr, block.indices, block.data,
                weights.feature_start, weights.pair_node, weights.pair_start, weights.pair_scale,
                weights.stored, layout.child_start, layout.child_count, into,
            )  # fmt: skip

        self.in_threads(run, n_threads)
        return scores

    @property
    def n_threads(self) -> int:
        """Number of threads."""
        return self.n_jobs if self.n_jobs is not None else len(os.sched_getaffinity(0))

    def in_threads(self, run: Callable[[int], Any], n_parts: int) -> list[Any]:
        """Call ``run(0) .. run(n_parts - 1)``; the compiled loops hold no interpreter lock."""
        n_threads = min(n_parts, self.n_threads)
        if n_threads < 2:
            return [run(part) for part in range(n_parts)]
        with ThreadPoolExecutor(n_threads) as pool:
            return list(pool.map(run, range(n_parts)))

    # -- state

    def state_dict(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the arrays and JSON-able values that `from_state` and `load_scorer` need."""
        self._scorer()
        params = {name: value for name, value in self.get_params().items() if name != "taxonomy"}
        return self.weights_.state_dict(), {"kind": self.kind, **params}

    @classmethod
    def from_state(
        cls: type[SolverT],
        taxonomy: Taxonomy,
        arrays: Mapping[str, NDArray[Any]],
        params: Mapping[str, Any],
    ) -> SolverT:
        """Rebuild a trained solver.

        Raises
        ------
        CheckpointError
            If the arrays are damaged or of another taxonomy, or the solver is of another kind.
        """
        values = dict(params)
        if values.pop("kind", None) != cls.kind:
            raise CheckpointError(
                f"the checkpoint holds a classifier of the kind {str(params.get('kind'))[:40]!r}, "
                f"not {cls.kind!r}"
            )
        try:
            solver = cls(taxonomy, **values)
            solver._check_parameters()
        except (TypeError, InvalidArgumentError) as error:
            raise CheckpointError(f"the classifier's parameters are damaged: {error}") from error
        solver._use(BlockWeights.from_state(NodeLayout(taxonomy), arrays))
        # `ktt_models.sklearn.stored` scores few rows.
        solver._compiles = True
        return solver
