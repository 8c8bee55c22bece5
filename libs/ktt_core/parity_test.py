"""When an export may be published."""

from __future__ import annotations

import numpy as np
import pytest

from ktt_core.errors import DataError
from ktt_core.parity import (
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


def test_blocks_are_counted_together():
    counter = ParityCounter()
    counter.add(log_proba([0.5, 0.5], [0.2, 0.8]), log_proba([0.5, 0.5], [0.3, 0.7]))
    counter.add(log_proba([0.6, 0.4]), log_proba([0.4, 0.6]))
    counter.add(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32))
    figures = counter.figures()
    assert figures.rows == 3
    assert figures.top_path_agreement == pytest.approx(2 / 3)
    assert figures.max_probability_difference == pytest.approx(0.2, abs=1e-6)


def test_what_is_no_number_never_passes():
    counter = ParityCounter()
    counter.add(log_proba([0.6, 0.4]), np.array([[np.nan, np.nan]], dtype=np.float32))
    counter.add(log_proba([0.6, 0.4]), log_proba([0.6, 0.4]))
    assert not counter.figures().passed


def test_no_rows_and_other_shapes_are_errors():
    counter = ParityCounter()
    with pytest.raises(DataError, match="none"):
        counter.figures()
    with pytest.raises(DataError, match="not of one model"):
        counter.add(log_proba([0.6, 0.4]), log_proba([0.6, 0.2, 0.2]))
