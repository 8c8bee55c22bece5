"""Conditions for publishing an export."""

from __future__ import annotations

import numpy as np
import pytest

from ktt_core.errors import DataError
from ktt_core.parity import (
    MAX_FEATURE_DIFFERENCE,
    MAX_PROBABILITY_DIFFERENCE,
    MIN_TOP_PATH_AGREEMENT,
    ParityCounter,
    ParityFigures,
)


def log_proba(*rows):
    return np.log(np.array(rows, dtype=np.float32))


def test_both_thresholds_must_be_met():
    agreement, difference = MIN_TOP_PATH_AGREEMENT, MAX_PROBABILITY_DIFFERENCE
    assert ParityFigures(1000, agreement, difference).passed
    assert not ParityFigures(1000, agreement - 1e-6, 0.0).passed
    assert not ParityFigures(1000, 1.0, difference * 1.01).passed
    assert not ParityFigures(1000, 1.0, float("nan")).passed


def test_features_must_agree_if_there_are_any():
    assert ParityFigures(1000, 1.0, 0.0, MAX_FEATURE_DIFFERENCE).passed
    for largest in (1.01 * MAX_FEATURE_DIFFERENCE, float("nan"), float("inf")):
        assert not ParityFigures(1000, 1.0, 0.0, largest, 3).passed


def features_compared(*blocks):
    counter = ParityCounter()
    for expected, found in blocks:
        expected = np.array(expected, dtype=np.float32)
        same = np.zeros((len(expected), 2), np.float32)
        counter.add(same, same)
        counter.add_features(expected, np.array(found, dtype=np.float32))
    figures = counter.figures()
    return figures.max_feature_difference, figures.worst_feature


def test_a_feature_s_difference_is_relative_to_its_column_s_mean_size():
    first = [[1, 200], [0.5, -300]], [[1, 200], [0.5, -302]]
    second = [[-2, 100]], [[-2.002, 100]]
    assert features_compared(first, second) == (pytest.approx(2 / 200), 1)
    assert features_compared(second) == (pytest.approx(0.001, rel=1e-3), 0)


def test_a_feature_near_zero_is_scaled_by_the_others():
    block = [[1e-7, 0.5, 0.4]], [[2e-7, 0.5, 0.4]]
    assert features_compared(block)[0] < MAX_FEATURE_DIFFERENCE


def test_features_of_zero_and_of_nan():
    assert features_compared(([[0, 0]], [[0, 0]]))[0] == 0
    # Rounding errors of values that cancel out are no difference; larger values are.
    assert features_compared(([[0, 0]], [[0, 1e-9]]))[0] < MAX_FEATURE_DIFFERENCE
    largest, worst = features_compared(([[0, 0]], [[0, 1e-4]]))
    assert largest > MAX_FEATURE_DIFFERENCE and worst == 1
    largest, worst = features_compared(([[1, 1]], [[np.nan, 1]]), ([[1, 1]], [[1, 1]]))
    assert np.isnan(largest) and worst == 0


def test_differences_do_not_depend_on_the_blocks():
    counter = ParityCounter()
    counter.add(log_proba([0.5, 0.5], [0.2, 0.8]), log_proba([0.5, 0.5], [0.3, 0.7]))
    counter.add(log_proba([0.6, 0.4]), log_proba([0.4, 0.6]))
    counter.add(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32))
    figures = counter.figures()
    assert figures.rows == 3
    assert figures.top_path_agreement == pytest.approx(2 / 3)
    assert figures.max_probability_difference == pytest.approx(0.2, abs=1e-6)


def test_nan_never_passes():
    counter = ParityCounter()
    counter.add(log_proba([0.6, 0.4]), np.array([[np.nan, np.nan]], dtype=np.float32))
    counter.add(log_proba([0.6, 0.4]), log_proba([0.6, 0.4]))
    assert not counter.figures().passed


def test_no_rows_and_other_shapes_are_errors():
    counter = ParityCounter()
    with pytest.raises(DataError, match="none"):
        counter.figures()
    with pytest.raises(DataError, match="not of one model"):
        counter.add_features(np.zeros((2, 26)), np.zeros((2, 24)))
    with pytest.raises(DataError, match="not of one model"):
        counter.add(log_proba([0.6, 0.4]), log_proba([0.6, 0.2, 0.2]))
