"""Conversion of a linear classifier over the leaves to weights of the whole taxonomy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import TrainingError
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.scorer import SHARE_FLOOR
from ktt_core.tfidf.weights import BlockWeights, NodeLayout
from ktt_models.sklearn.linear_scores import LinearScores

__all__ = ["leaf_weights"]


def leaf_weights(
    found: LinearScores,
    taxonomy: Taxonomy,
    known: NDArray[np.integer],
    columns: NDArray[np.integer],
    n_columns: int,
    longest: float,
) -> BlockWeights:
    """Return the weights that `ktt_core.tfidf.scorer.FlatScorer` reads.

    A leaf that the classifier does not know is less probable than all others for any text, by a
    factor of at least 1e-9. With modified_huber its probability is 0, unless all leaves' are.

    Parameters
    ----------
    found : LinearScores
        Scores of the known leaves, in their order.
    taxonomy : Taxonomy
    known : ndarray of int, shape (n_known,)
        The leaves that the classifier was trained on, ascending.
    columns : ndarray of int, shape (n_features,)
        The columns of a row that are the classifier's features, ascending.
    n_columns : int
        Of a row.
    longest : float
        The largest Euclidean norm of a row; rows are non-negative.

    Raises
    ------
    TrainingError
        If weights are not finite in 32 bits.
    """
    layout = NodeLayout(taxonomy)
    # A leaf's weights are stored at its parent; higher levels have none.
    first_node = 0 if taxonomy.depth == 1 else 1 + int(taxonomy.level_offsets[-3])
    widths = layout.child_count[first_node:]
    starts = np.cumsum(widths) - widths
    all_known = len(known) == taxonomy.n_leaves
    squares = np.zeros(len(known))
    counts, nodes, weights = [], [], []
    for block in found.weight_blocks(len(columns)):
        if found.link == "softmax":
            block = _shifted(block, all_known)
        squares += np.square(block).sum(axis=0)
        of_leaves = np.zeros((len(block), taxonomy.n_leaves), dtype=np.float32)
        with np.errstate(over="ignore"):
            of_leaves[:, known] = block
        present = np.logical_or.reduceat(of_leaves != 0, starts, axis=1)
        counts.append(present.sum(axis=1))
        nodes.append((np.nonzero(present)[1] + first_node).astype(np.int32))
        weights.append(of_leaves[np.repeat(present, widths, axis=1)])
    per_column = np.zeros(n_columns, dtype=np.int64)
    per_column[columns] = np.concatenate(counts)
    bias = np.zeros(taxonomy.n_classes, dtype=np.float32)
    bias[-taxonomy.n_leaves :] = _unknown(found, np.sqrt(squares), longest)
    bias[known + len(bias) - taxonomy.n_leaves] = found.bias
    stored = np.concatenate(weights)
    if not (
        np.isfinite(bias).all()
        and np.isfinite([stored.min(initial=0), stored.max(initial=0)]).all()
    ):
        raise TrainingError("its weights are too large for numbers of 32 bits: regularise it more")
    return BlockWeights(
        layout, np.concatenate([[0], np.cumsum(per_column)]), np.concatenate(nodes), stored, bias
    )


def _shifted(block: NDArray[np.float64], all_known: bool) -> NDArray[np.float64]:
    """Return weights shifted to a minimum of 0 per feature, where that keeps zeros.

    A softmax is invariant to the shift. Smaller numbers are summed more exactly, and a leaf without
    weights has the lowest score.
    """
    moved = (block != 0).all(axis=1) if all_known else np.ones(len(block), dtype=bool)
    return block - np.where(moved, block.min(axis=1), 0.0)[:, None]


def _unknown(found: LinearScores, lengths: NDArray[np.float64], longest: float) -> float:
    """Return the bias at which a leaf without weights has the lowest score."""
    if found.link == "softmax":
        return float(found.bias.min() + np.log(SHARE_FLOOR))
    if found.link == "logistic":
        # Lower bound of all rows' scores.
        least = float((found.bias - lengths * longest).min())
        return min(least, 0.0) + float(np.log(SHARE_FLOOR))
    return -2.0
