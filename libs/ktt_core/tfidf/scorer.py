"""Log-probabilities of sparse rows, with numpy only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError, InvalidArgumentError
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.beam import beam_search
from ktt_core.tfidf.rows import CsrRows
from ktt_core.tfidf.weights import BlockWeights, NodeLayout

__all__ = [
    "LOSSES",
    "SHARE_FLOOR",
    "FlatScorer",
    "HierarchicalScorer",
    "LinearScorer",
    "load_scorer",
    "log_shares",
]

LOSSES = ("softmax", "logistic", "modified_huber")

# Class scores in memory at once.
_BLOCK_CELLS = 1 << 22
#: Lower bound of modified_huber, which is exactly 0 for most classes; products need more.
SHARE_FLOOR = 1e-9

FloatArray = NDArray[np.float32]
ClassScores = Callable[[CsrRows], FloatArray]


def log_shares(scores: NDArray[Any], starts: NDArray[np.int64], loss: str) -> NDArray[Any]:
    """Log-probabilities of children among their siblings.

    Parameters
    ----------
    scores : ndarray, shape (..., children)
        Linear scores; siblings are adjacent.
    starts : ndarray of int64, shape (parents,)
        First child of each parent.
    loss : {"softmax", "logistic", "modified_huber"}
        softmax: exp(score) divided by the siblings' sum. logistic: 1 / (1 + exp(-score)) divided by
        the siblings' sum, as for one-vs-rest classifiers. modified_huber: clip((score + 1) / 2, 0,
        1) divided by the siblings' sum (Zadrozny & Elkan, KDD 2002, as in scikit-learn); uniform
        where all are 0.

    Returns
    -------
    ndarray, the shape and dtype of `scores`
        ``exp`` of it sums to 1 over siblings.
    """
    widths = np.diff(np.append(starts, scores.shape[-1]))
    if loss == "logistic":
        scores = -np.logaddexp(0, -scores)
    if loss != "modified_huber":
        shifted = scores - np.repeat(np.maximum.reduceat(scores, starts, axis=-1), widths, axis=-1)
        sums = np.add.reduceat(np.exp(shifted), starts, axis=-1)
        return shifted - np.repeat(np.log(sums), widths, axis=-1)
    shares = np.clip((scores + 1) / 2, 0, 1) + scores.dtype.type(SHARE_FLOOR)
    sums = np.add.reduceat(shares, starts, axis=-1)
    return np.log(shares) - np.repeat(np.log(sums), widths, axis=-1)


class LinearScorer(ABC):
    """A fitted linear model over tf-idf rows.

    Parameters
    ----------
    weights : BlockWeights
    loss : {"softmax", "logistic", "modified_huber"}
    class_scores : callable, optional
        A faster replacement of ``weights.class_scores`` with the same results.

    Raises
    ------
    CheckpointError
        If the loss is unknown.
    """

    kind: ClassVar[str]

    def __init__(
        self, weights: BlockWeights, loss: str, class_scores: ClassScores | None = None
    ) -> None:
        if loss not in LOSSES:
            raise CheckpointError(
                f"the loss {loss!r:.40} is not known; there are {', '.join(LOSSES)}"
            )
        self.weights = weights
        self.loss = loss
        self.taxonomy = weights.layout.taxonomy
        self._class_scores = class_scores or weights.class_scores

    def level_scores(self, rows: CsrRows) -> list[FloatArray]:
        """Log-probabilities of rows.

        Parameters
        ----------
        rows : CsrRows, shape (n, n_features)

        Returns
        -------
        list of ndarray of float32
            Hierarchical: one array per level, shape (n, n_h), the log-probability of each class
            given its parent. Flat: one array of shape (n, n_leaves), log p(leaf).

        Raises
        ------
        InvalidArgumentError
            If the rows have another width than the model.
        """
        if rows.n_columns != self.weights.n_features:
            raise InvalidArgumentError(
                f"the rows have {rows.n_columns} columns, "
                f"the model {self.weights.n_features} features"
            )
        widths = self._widths()
        levels = [np.empty((rows.n_rows, width), dtype=np.float32) for width in widths]
        step = max(1, _BLOCK_CELLS // self.taxonomy.n_classes)
        for start in range(0, rows.n_rows, step):
            stop = min(rows.n_rows, start + step)
            found = self._normalised(self._class_scores(rows.take(start, stop)))
            for level, block in zip(levels, found, strict=True):
                level[start:stop] = block
        return levels

    @abstractmethod
    def _widths(self) -> list[int]:
        """Widths of the arrays of `level_scores`."""

    @abstractmethod
    def _normalised(self, scores: FloatArray) -> list[FloatArray]:
        """Compute `level_scores` from the scores of all levels' classes, shape (n, C)."""


class HierarchicalScorer(LinearScorer):
    """A classifier at every node; p(path) is the product of the probabilities along the path."""

    kind = "hierarchical"

    def _widths(self) -> list[int]:
        return self.taxonomy.level_sizes.tolist()

    def _normalised(self, scores: FloatArray) -> list[FloatArray]:
        offsets = self.taxonomy.level_offsets.tolist()
        levels = []
        for level in range(self.taxonomy.depth):
            first = np.zeros(1, dtype=np.int64)
            starts = self.taxonomy.child_ranges[level - 1][:-1].astype(np.int64) if level else first
            levels.append(
                log_shares(scores[:, offsets[level] : offsets[level + 1]], starts, self.loss)
            )
        return levels

    def beam(
        self, rows: CsrRows, top_k: int = 1, width: int | None = None
    ) -> tuple[NDArray[np.int32], FloatArray]:
        """Find the most probable leaves without scoring the whole taxonomy.

        Parameters
        ----------
        rows : CsrRows, shape (n, n_features)
        top_k : int
            Number of leaves to return, at most all.
        width : int, optional
            Nodes kept per level. None: as many as an exact result needs.

        Returns
        -------
        leaves : ndarray of int32, shape (n, k)
            Best first; ties in the order of indices.
        log_proba : ndarray of float32, shape (n, k)
            Log-probability of the leaf's path.
        """
        return beam_search(self.weights, self._log_shares, rows, top_k, width)

    def _log_shares(self, scores: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
        return log_shares(scores, starts, self.loss)


class FlatScorer(LinearScorer):
    """One linear function per leaf, and one softmax over all leaves.

    A leaf's weights are the sum of the stored weights of the classes on its path.
    """

    kind = "flat"

    def _widths(self) -> list[int]:
        return [self.taxonomy.n_leaves]

    def _normalised(self, scores: FloatArray) -> list[FloatArray]:
        offsets = self.taxonomy.level_offsets.tolist()
        leaves = scores[:, : offsets[1]]
        for level in range(1, self.taxonomy.depth):
            above = leaves[:, self.taxonomy.parent_of[level]]
            leaves = above + scores[:, offsets[level] : offsets[level + 1]]
        return [log_shares(leaves, np.zeros(1, dtype=np.int64), self.loss)]


def load_scorer(
    taxonomy: Taxonomy,
    arrays: Mapping[str, NDArray[Any]],
    params: Mapping[str, Any],
    wanted: str | None = None,
) -> HierarchicalScorer | FlatScorer:
    """Rebuild a scorer from a solver's ``state_dict``.

    Parameters
    ----------
    taxonomy : Taxonomy
    arrays, params : mapping
        The state.
    wanted : {"hierarchical", "flat"}, optional
        The required kind.

    Raises
    ------
    CheckpointError
        If the arrays are damaged or of another taxonomy, or the scorer is of another kind.
    """
    kind, loss = params.get("kind"), str(params.get("loss"))
    if wanted is not None and kind != wanted:
        raise CheckpointError(
            f"the checkpoint holds a classifier of the kind {str(kind)[:40]!r}, not {wanted!r}"
        )
    weights = BlockWeights.from_state(NodeLayout(taxonomy), arrays)
    if kind == HierarchicalScorer.kind:
        return HierarchicalScorer(weights, loss)
    if kind == FlatScorer.kind:
        return FlatScorer(weights, loss)
    raise CheckpointError(
        f"the checkpoint holds a classifier of an unknown kind: {str(kind)[:40]!r}"
    )
