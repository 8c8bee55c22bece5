"""The paired bootstrap against its definition, row by row."""

from __future__ import annotations

import numpy as np
import pytest

from ktt_core.errors import DataError, InvalidArgumentError
from ktt_core.metrics.bootstrap import bootstrap_difference


def naive_interval(ours: np.ndarray, theirs: np.ndarray, draws: int) -> tuple[float, float]:
    """Draw rows one by one."""
    generator = np.random.default_rng(7)
    found = []
    for _ in range(draws):
        rows = generator.integers(len(ours), size=len(ours))
        found.append(ours[rows].mean() - theirs[rows].mean())
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def test_the_interval_is_that_of_resampled_rows() -> None:
    generator = np.random.default_rng(0)
    ours, theirs = generator.random(400) < 0.8, generator.random(400) < 0.7
    difference = bootstrap_difference(ours, theirs)
    low, high = naive_interval(ours, theirs, 4_000)
    width = high - low
    assert difference.value == pytest.approx(ours.mean() - theirs.mean())
    assert difference.low == pytest.approx(low, abs=width / 20)
    assert difference.high == pytest.approx(high, abs=width / 20)


def test_it_is_paired() -> None:
    # Rows that are hard for both have a large variance, which hides a difference of 2 % in an
    # unpaired test but not in a paired one.
    theirs = np.arange(1000) % 2 == 0
    ours = theirs | (np.arange(1000) % 50 == 1)
    difference = bootstrap_difference(ours, theirs)
    assert difference.sign == 1 and difference.low > 0.01
    assert bootstrap_difference(theirs, ours).sign == -1


def test_equal_predictions_have_a_difference_of_zero() -> None:
    same = np.array([1.0, 0.0, 0.5])
    difference = bootstrap_difference(same, same)
    assert (difference.value, difference.low, difference.high, difference.sign) == (0, 0, 0, 0)


def test_the_figure_may_be_a_ratio_of_sums() -> None:
    ours = np.array([[2.0, 2.0], [0.0, 4.0], [1.0, 2.0]])
    theirs = np.array([[1.0, 2.0], [0.0, 4.0], [1.0, 2.0]])
    difference = bootstrap_difference(ours, theirs, lambda sums: sums[..., 0] / sums[..., 1])
    assert difference.value == pytest.approx(3 / 8 - 2 / 8)
    assert 0.0 <= difference.low <= difference.value <= difference.high


def test_the_same_seed_gives_the_same_interval() -> None:
    generator = np.random.default_rng(1)
    ours, theirs = generator.random((2, 50))
    one = bootstrap_difference(ours, theirs, draws=500, seed=3)
    assert one == bootstrap_difference(ours, theirs, draws=500, seed=3)
    assert one != bootstrap_difference(ours, theirs, draws=500, seed=4)


def test_the_interval_has_its_nominal_coverage() -> None:
    generator = np.random.default_rng(2)
    held = 0
    for _ in range(300):
        hard = generator.random(200)
        ours, theirs = hard < 0.75, hard < 0.70 + 0.1 * (generator.random(200) - 0.5)
        difference = bootstrap_difference(ours, theirs, draws=1_000)
        held += difference.low <= 0.05 <= difference.high
    # 95 % of 300, minus four standard deviations.
    assert held / 300 == pytest.approx(0.95, abs=0.05)


def test_rows_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(DataError, match="no rows"):
        bootstrap_difference(np.zeros(0), np.zeros(0))
    with pytest.raises(InvalidArgumentError, match="the same rows"):
        bootstrap_difference(np.zeros(2), np.zeros(3))
    with pytest.raises(InvalidArgumentError, match="confidence"):
        bootstrap_difference(np.zeros(2), np.zeros(2), confidence=1.0)
