"""A scikit-learn classifier as a solver: trained on the leaves, stored as their weights."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ktt_core.errors import DataError, KttError, TrainingError, UnsupportedError
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.scorer import FlatScorer, load_scorer
from ktt_models.sklearn.contract import Arrays, Levels
from ktt_models.sklearn.leaf_weights import leaf_weights
from ktt_models.sklearn.linear_scores import linear_scores, narrow

__all__ = ["EstimatorSolver", "LinearSolver"]

# Training rows on which extracted weights are compared with the classifier itself.
_SAMPLE_ROWS = 64

_log = logging.getLogger(__name__)


class LinearSolver:
    """A trained linear classifier over the leaves, from a checkpoint.

    Parameters
    ----------
    taxonomy : Taxonomy
    arrays, params
        Result of `state_dict`.

    Raises
    ------
    CheckpointError
        If the arrays are damaged or of another taxonomy.
    """

    def __init__(self, taxonomy: Taxonomy, arrays: Arrays, params: dict[str, Any]) -> None:
        self._scorer = load_scorer(taxonomy, arrays, params, FlatScorer.kind)
        self._state = arrays, params

    def level_scores(self, rows: CsrRows) -> Levels:
        """Return the log-probabilities of the leaves."""
        return self._scorer.level_scores(rows)

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Return the weights, and what is JSON."""
        return self._state


class EstimatorSolver:
    """Trains a scikit-learn classifier on the leaves of the rows.

    A leaf without training rows is less probable than all others.

    Parameters
    ----------
    name : str
        Name of the model, for messages.
    taxonomy : Taxonomy
    make : callable
        Returns a new, untrained classifier; called twice.
    max_weights : int
        The rarest terms are dropped if terms and leaves would need more.
    """

    def __init__(
        self, name: str, taxonomy: Taxonomy, make: Callable[[], Any], max_weights: int
    ) -> None:
        self.name, self.taxonomy, self.make, self.max_weights = name, taxonomy, make, max_weights
        #: The leaves of the training rows, once trained.
        self.known_leaves: NDArray[np.integer[Any]] | None = None
        self._trained: LinearSolver | None = None

    def fit(
        self,
        rows: CsrRows,
        codes: NDArray[np.int32],
        *,
        on_epoch: Callable[[int, int, dict[str, float]], None] | None = None,
    ) -> EstimatorSolver:
        """Train; without reports of epochs.

        Raises
        ------
        DataError
            If all rows have the same leaf, or there are too many leaves for `max_weights`.
        UnsupportedError
            As `check`.
        TrainingError
            If the classifier fails.
        """
        known, labels = np.unique(codes[:, -1], return_inverse=True)
        if len(known) < 2:
            raise DataError(
                "the training rows are all of one class path: there is nothing to tell apart"
            )
        kept = self._kept_features(rows)
        estimator = self._made()
        matrix = csr_matrix((rows.data, rows.indices, rows.indptr), (rows.n_rows, rows.n_columns))
        matrix = narrow(matrix if len(kept) == rows.n_columns else matrix[:, kept])
        self._train(estimator, matrix, labels)
        places = np.unique(np.linspace(0, rows.n_rows - 1, _SAMPLE_ROWS).astype(int))
        with self._blamed(type(estimator).__name__, "asked"):
            found = linear_scores(estimator, matrix[places])
            longest = float(np.sqrt(matrix.multiply(matrix).sum(axis=1).max()))
            weights = leaf_weights(found, self.taxonomy, known, kept, rows.n_columns, longest)
        params = {
            "kind": FlatScorer.kind,
            "loss": found.link,
            "estimator": type(estimator).__name__,
        }
        self.known_leaves = known
        self._trained = LinearSolver(self.taxonomy, weights.state_dict(), params)
        return self

    def level_scores(self, rows: CsrRows) -> Levels:
        """Return the log-probabilities of the leaves."""
        return self._solver().level_scores(rows)

    def state_dict(self) -> tuple[Arrays, dict[str, Any]]:
        """Return the weights, and what is JSON."""
        return self._solver().state_dict()

    def _solver(self) -> LinearSolver:
        if self._trained is None:
            raise UnsupportedError(f"{self.name} is not trained yet: call fit first")
        return self._trained

    def _kept_features(self, rows: CsrRows) -> NDArray[np.intp]:
        most = self.max_weights // self.taxonomy.n_leaves
        if most < 1:
            raise DataError(
                f"max_weights = {self.max_weights:,} is less than one weight for each of the "
                f"{self.taxonomy.n_leaves:,} leaves; set it higher"
            )
        if rows.n_columns <= most:
            return np.arange(rows.n_columns)
        counts = np.bincount(rows.indices, minlength=rows.n_columns)
        return np.sort(np.argsort(-counts, kind="stable")[:most])

    def _made(self) -> Any:
        with self._blamed("make_estimator", "called"):
            estimator = self.make()
        if isinstance(estimator, type) or not all(
            callable(getattr(estimator, method, None)) for method in ("fit", "predict")
        ):
            raise UnsupportedError(
                f"make_estimator of {self.name} returns {estimator!r:.80}: it must return a "
                "scikit-learn classifier that is not trained"
            )
        return estimator

    def check(self) -> None:
        """Train a classifier on a few synthetic rows, to check that it is supported.

        Raises
        ------
        UnsupportedError
            If it is not a classifier, or one that a checkpoint cannot hold.
        TrainingError
            If it cannot be created.
        """
        n_classes = min(3, self.taxonomy.n_leaves)
        generator = np.random.default_rng(0)
        made_up = generator.random((8 * n_classes, 6))
        matrix = narrow(np.where(made_up < 0.6, 0, made_up))
        estimator = self._made()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                estimator.fit(matrix, np.arange(len(made_up)) % n_classes)
                linear_scores(estimator, matrix)
            except UnsupportedError as error:
                raise UnsupportedError(f"{self.name}: {error}") from error
            except Exception:
                # Its parameters may require more rows; the real training will show.
                _log.debug("%r does not train on synthetic rows", estimator, exc_info=True)

    def _train(self, estimator: Any, matrix: csr_matrix, labels: NDArray[np.intp]) -> None:
        with self._blamed(type(estimator).__name__, "trained"):
            estimator.fit(matrix, labels)
            classes = np.asarray(estimator.classes_)
        if not np.array_equal(classes, np.arange(labels.max() + 1)):
            raise TrainingError(
                f"{self.name}: {type(estimator).__name__} was trained on the classes "
                f"0 to {labels.max():,}, and tells others apart: {str(classes)[:80]}"
            )

    @contextlib.contextmanager
    def _blamed(self, what: str, doing: str) -> Iterator[None]:
        """Convert an exception to an error that blames the model, not this library."""
        try:
            yield
        except UnsupportedError as error:
            raise UnsupportedError(f"{self.name}: {error}") from error
        except (KttError, MemoryError):
            raise
        except Exception as error:
            # For the job's log.
            _log.exception("%s of %s failed", what, self.name)
            raise TrainingError(
                f"{self.name}: {what} cannot be {doing}: {type(error).__name__}: {error}"
            ) from error
