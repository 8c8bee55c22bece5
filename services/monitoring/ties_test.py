"""Values that differ by rounding only are merged, and no others."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from monitoring.ties import first_near_largest, merge_near_ties

JITTER = 1e-6


def jittered(values, seed=0):
    """The values as another processor computes them: their last digits differ."""
    noise = np.random.default_rng(seed).uniform(-JITTER, JITTER, values.shape)
    return (values * (1 + noise)).astype(np.float32)


def distances(reference, window):
    merged = merge_near_ties(reference, window)
    return [
        ks_2samp(*(part[:, column] for part in merged)).statistic
        for column in range(merged[0].shape[1])
    ]


@pytest.mark.parametrize("shared", [1.0, 0.3333333, 0.125, 0.9999, 1e-20, 0.015625, 0.0])
def test_a_shared_value_is_equal_in_reference_and_window(shared):
    rng = np.random.default_rng(1)
    reference = rng.uniform(0.2, 1, (400, 1)).astype(np.float32)
    reference[::2] = shared
    # All shifted to one side: without merging, a distance of 0.5.
    window = np.nextafter(reference, np.float32(-1), dtype=np.float32)
    assert ks_2samp(reference[:, 0], window[:, 0]).statistic > 0.4
    assert distances(reference, window)[0] < 0.01


def test_scores_of_nearly_one_are_merged():
    rng = np.random.default_rng(2)
    reference = (1 - 10 ** rng.uniform(-9, -5.5, (300, 1))).astype(np.float32)
    window = (1 - 10 ** rng.uniform(-7.5, -5.5, (300, 1))).astype(np.float32)
    assert distances(reference, window) == [0]


def test_values_near_zero_have_the_absolute_error_of_larger_ones():
    rng = np.random.default_rng(3)
    reference = rng.normal(size=(400, 1)).astype(np.float32)
    reference[::4] = 1e-8
    window = (reference + 1e-6).astype(np.float32)
    assert distances(reference, window)[0] < 0.02


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60),
    cut=st.integers(0, 60),
)
def test_order_is_kept_and_values_change_little(values, cut):
    column = np.array(values, dtype=np.float32)[:, np.newaxis]
    cut = min(cut, len(column))
    merged = np.concatenate(merge_near_ties(column[:cut], column[cut:]))[:, 0]
    order = np.argsort(column[:, 0], kind="stable")
    assert (np.diff(merged[order]) >= 0).all()
    spread = np.subtract(*np.quantile(column.astype(float), [0.75, 0.25]))
    limit = 34 * (1e-5 * np.abs(column[:, 0]) + 1e-4 * spread) + 1e-30
    assert (np.abs(merged - column[:, 0]) <= limit).all()


@given(
    start=st.floats(1e-3, 1e3),
    gaps=st.lists(st.floats(0.05, 0.95), min_size=200, max_size=400),
    negative=st.booleans(),
)
def test_a_long_chain_of_small_gaps_is_not_one_value(start, gaps, negative):
    # In 64 bits, which have values between two that are near.
    column = start * np.cumprod(1 + 1e-5 * np.array([0, *gaps]))[:, np.newaxis]
    if negative:
        column = -column
    merged, _ = merge_near_ties(column, column[:0])
    assert (np.abs(merged / column - 1) <= 34e-5).all()
    length = abs(column[-1, 0] / column[0, 0] - 1) / 1e-5
    assert len(np.unique(merged)) >= length / 34


@given(
    scale=st.integers(-30, 6).map(lambda exponent: 10.0**exponent),
    spread=st.floats(0, 0.3),
    seed=st.integers(0, 1000),
    rows=st.integers(20, 400),
)
def test_doubling_is_detected_at_any_scale(scale, spread, seed, rows):
    rng = np.random.default_rng(seed)
    reference = (scale * rng.uniform(1 - spread, 1 + spread, (400, 1))).astype(np.float32)
    window = (2 * scale * rng.uniform(1 - spread, 1 + spread, (rows, 1))).astype(np.float32)
    assert distances(reference, window) == [1]


@given(seed=st.integers(0, 1000), cut=st.integers(1, 99))
def test_groups_do_not_depend_on_the_split_into_reference_and_window(seed, cut):
    rng = np.random.default_rng(seed)
    rows = jittered(rng.choice(rng.normal(size=(8, 3)), size=100), seed)
    whole = np.concatenate(merge_near_ties(rows, rows[:0]))
    assert (np.concatenate(merge_near_ties(rows[:cut], rows[cut:])) == whole).all()


def test_values_that_differ_stay_apart():
    lengths = np.arange(5, 300, dtype=np.float32)[:, np.newaxis]
    shares = (np.arange(0, 60, dtype=np.float32) / 60)[:, np.newaxis]
    for column in (lengths, shares):
        merged, _ = merge_near_ties(column, column[:0])
        assert len(np.unique(merged)) == len(column)


def test_a_single_long_text_does_not_make_others_equal():
    lengths = np.append(np.arange(5, 300), 3_000_000).astype(np.float32)[:, np.newaxis]
    assert len(np.unique(merge_near_ties(lengths, lengths[:0])[0])) == len(lengths)


@pytest.mark.parametrize("shift", [-1e-3, 4e-4])
@pytest.mark.parametrize("spread", [0, 1e-5])
def test_a_shift_larger_than_rounding_is_detected_however_close_the_values(spread, shift):
    rng = np.random.default_rng(6)
    reference = (1 + spread * rng.uniform(size=(1000, 1))).astype(np.float32)
    window = (1 + shift + spread * rng.uniform(size=(30, 1))).astype(np.float32)
    assert distances(reference, window) == [1]


def test_very_many_rows_are_not_one_value():
    rng = np.random.default_rng(4)
    reference = rng.uniform(size=(400_000, 1)).astype(np.float32)
    merged, _ = merge_near_ties(reference, reference[:0])
    assert len(np.unique(merged)) > 100
    assert np.abs(merged - reference).max() < 0.01


def test_many_columns_need_little_extra_memory():
    rows = np.random.default_rng(5).normal(size=(2000, 400)).astype(np.float32)
    tracemalloc.start()
    try:
        merge_near_ties(rows, rows[:30])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * rows.nbytes


def test_of_equal_scores_the_first_is_the_largest():
    scores = np.array([[0.2, 0.4, 0.4], [0.1, 0.1, 0.8], [-3, -2, -2], [0, 0, 0]], dtype=np.float32)
    for seed in range(20):
        assert first_near_largest(jittered(scores, seed)).tolist() == [1, 2, 1, 0]
