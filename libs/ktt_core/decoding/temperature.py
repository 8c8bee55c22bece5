"""The temperature that calibrates path probabilities (Guo et al., ICML 2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding.scores import (
    LevelScores,
    check_levels,
    leaf_scores,
    row_blocks,
    row_maxima,
)
from ktt_core.errors import InvalidArgumentError
from ktt_core.labels import Labels
from ktt_core.taxonomy import Taxonomy

__all__ = ["MAX_TEMPERATURE", "MIN_TEMPERATURE", "PRIOR_WEIGHT", "fit_temperature", "penalty"]

#: Bounds of a fitted temperature. Without them, perfectly separating scores would give 0, and
#: uninformative ones infinity.
MIN_TEMPERATURE = 0.05
MAX_TEMPERATURE = 20.0

#: Weight of the prior at T = 1, relative to sums over rows. With it, 24 rows that are all correct
#: keep T above 0.5; 20,000 rows drawn at a T of 0.5 to 8 shift by less than 1 %, but very confident
#: ones (T = 0.3) carry little information each, and shift by 2 %.
PRIOR_WEIGHT = 40.0

_MAX_STEPS = 40
# Relative change of 1 / T below which the search ends.
_TOLERANCE = 1e-4

# Scores this far below a row's best have no mass at any allowed temperature: exp(-4000 / 20) is 0
# in float32 and 1e-87 in float64. Clipping to it avoids products of -inf and 0.
_LOWEST = -4000.0


def fit_temperature(
    levels_blocks: Sequence[LevelScores] | Callable[[], Iterable[LevelScores]],
    codes: Labels | NDArray[np.integer],
    taxonomy: Taxonomy,
) -> float:
    """Return the maximum a posteriori T, given the true leaves and a prior at T = 1.

    With s the path scores and beta = 1 / T, the sum of ``logsumexp(beta s) - beta s_true`` over the
    rows, plus `penalty`, is convex in beta; Newton's method, safeguarded by bisection, finds its
    minimum in a few passes over the scores.

    Parameters
    ----------
    levels_blocks : sequence of level scores, or callable
        The validation split's scores in blocks of rows, each in the format of `decode`; or a
        function that yields the blocks on every call, so that they need not be held in memory. It
        is called about ten times.
    codes : Labels, or ndarray of int, shape (n, depth)
        The true paths of all blocks' rows, in order.
    taxonomy : Taxonomy

    Returns
    -------
    float
        In [`MIN_TEMPERATURE`, `MAX_TEMPERATURE`]. The likelihood at T is never below that at 1.
        1 without rows, or if all scores are equal.

    Raises
    ------
    InvalidArgumentError
        If rows and codes do not match, blocks can be read only once, or scores are not finite where
        `decode` requires it.

    Notes
    -----
    Rows whose true leaf has the score ``-inf`` are left out: no temperature makes them possible.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, maximise the likelihood
    alone. With few rows that are all correct, T is then near 0, and even meaningless texts get
    confident predictions; hence the prior.
    """
    labels = Labels.of(codes).checked(taxonomy)
    if not callable(levels_blocks) and isinstance(levels_blocks, Iterator):
        raise InvalidArgumentError(
            "the score blocks are read several times: give a list of them, or a function that "
            "yields them"
        )

    def evaluate(beta: float) -> tuple[float, float, float]:
        blocks = levels_blocks() if callable(levels_blocks) else levels_blocks
        value, slope, curvature = _likelihood(blocks, labels, taxonomy, beta)
        return (
            value + penalty(1.0 / beta),
            slope + PRIOR_WEIGHT * (1.0 - 1.0 / beta),
            curvature + PRIOR_WEIGHT / beta**2,
        )

    beta, at_one = 1.0, evaluate(1.0)
    best, best_value = 1.0, at_one[0]
    low, high = 1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE
    _, slope, curvature = at_one
    for _ in range(_MAX_STEPS):
        if slope == 0.0:
            break
        low, high = (beta, high) if slope < 0.0 else (low, beta)
        step = beta - slope / curvature if curvature > 0.0 else np.nan
        # Outside the bracket, or not finite: bisect in the logarithm, as the bounds are ratios.
        proposal = float(step) if low < step < high else float(np.sqrt(low * high))
        if abs(proposal - beta) <= _TOLERANCE * beta:
            break
        beta = proposal
        value, slope, curvature = evaluate(beta)
        if value < best_value:
            best, best_value = beta, value
    return float(min(MAX_TEMPERATURE, max(MIN_TEMPERATURE, 1.0 / best)))


def penalty(temperature: float) -> float:
    """Return the prior's negative log density at T, minus that at 1.

    With k = `PRIOR_WEIGHT` and beta = 1 / T this is ``k (beta - 1 - log beta)``: beta has a gamma
    distribution with its mode at 1. Near T = 1 it is ``k / 2 (log T)**2``, as for a log-normal
    distribution; unlike that, it is convex in beta everywhere, as the likelihood is.
    """
    beta = 1.0 / temperature
    return float(PRIOR_WEIGHT * (beta - 1.0 - np.log(beta)))


def _likelihood(
    blocks: Iterable[LevelScores], labels: Labels, taxonomy: Taxonomy, beta: float
) -> tuple[float, float, float]:
    """Return the summed negative log-likelihood and its first two derivatives in beta."""
    value = slope = curvature = 0.0
    first_row = 0
    for levels in blocks:
        arrays = check_levels(levels, taxonomy)
        n_rows = len(arrays[0])
        if first_row + n_rows > len(labels):
            raise InvalidArgumentError(f"there are more rows of scores than codes ({len(labels)})")
        for rows in row_blocks(n_rows, taxonomy.n_leaves):
            scores = leaf_scores(arrays, rows, taxonomy, 1.0)
            scores -= row_maxima(scores, first_row + rows.start)[:, None]
            true = labels.select(slice(first_row + rows.start, first_row + rows.stop))
            true_scores = true.leaf_values(scores).astype(np.float64)
            possible = np.isfinite(true_scores)
            np.maximum(scores, _LOWEST, out=scores)
            powers = np.exp(scores * np.float32(beta))
            total = powers.sum(axis=1, dtype=np.float64)
            # Mean and variance of the score under the predicted distribution.
            powers *= scores
            mean = powers.sum(axis=1, dtype=np.float64) / total
            powers *= scores
            variance = powers.sum(axis=1, dtype=np.float64) / total - mean**2
            value += float((np.log(total) - beta * true_scores)[possible].sum())
            slope += float((mean - true_scores)[possible].sum())
            curvature += float(np.maximum(variance, 0.0)[possible].sum())
        first_row += n_rows
    if first_row != len(labels):
        raise InvalidArgumentError(
            f"there are {first_row} rows of scores but {len(labels)} rows of codes"
        )
    return value, slope, curvature
