"""The permutation tests agree with the textbook tests where those are valid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, power_divergence

from monitoring import permutation
from monitoring.permutation import class_shift_p_value, ks_threshold


@settings(deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_pooled=st.integers(4, 60),
    decimals=st.sampled_from([0, 1, 8]),
    data=st.data(),
)
def test_distances_are_those_of_scipy_ties_or_not(seed, n_pooled, decimals, data):
    n_window = data.draw(st.integers(1, n_pooled - 1))
    rng = np.random.default_rng(seed)
    pooled = np.round(rng.normal(size=(n_pooled, 3)), decimals)
    choice = rng.choice(n_pooled, size=(1, n_window), replace=False)
    found = permutation._distances(choice, *permutation._pooled_ranks(pooled), n_pooled - n_window)
    rest = np.delete(pooled, choice[0], axis=0)
    expected = [ks_2samp(rest[:, c], pooled[choice[0], c]).statistic for c in range(3)]
    np.testing.assert_allclose(found[0], expected, atol=1e-12)


def test_with_one_column_the_threshold_is_about_the_rate():
    rng = np.random.default_rng(0)
    threshold = ks_threshold(rng.normal(size=(500, 1)), rng.normal(size=(40, 1)), 0.05)
    assert 0.02 < threshold < 0.08


def test_duplicate_columns_do_not_lower_the_threshold():
    rng = np.random.default_rng(0)
    reference, window = rng.normal(size=(500, 1)), rng.normal(size=(40, 1))
    one = ks_threshold(reference, window, 0.05)
    many = ks_threshold(np.tile(reference, 30), np.tile(window, 30), 0.05)
    assert many == pytest.approx(one)


def test_more_columns_lower_the_threshold():
    rng = np.random.default_rng(0)
    reference, window = rng.normal(size=(500, 30)), rng.normal(size=(40, 30))
    assert ks_threshold(reference, window, 0.05) < 0.05 / 10
    assert ks_threshold(reference, window, 0.01) < ks_threshold(reference, window, 0.05)


def test_block_size_does_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(0)
    reference, window = rng.normal(size=(100, 3)), rng.normal(size=(20, 3))
    classes = rng.integers(0, 9, 100), rng.integers(0, 9, 20)
    whole = ks_threshold(reference, window, 0.05), class_shift_p_value(*classes)
    monkeypatch.setattr(permutation, "_CELLS_AT_ONCE", 500)
    assert (ks_threshold(reference, window, 0.05), class_shift_p_value(*classes)) == whole


def table_g(reference, window, n_classes):
    counts = np.array([np.bincount(c, minlength=n_classes) for c in (window, reference)])
    counts = counts[:, counts.sum(axis=0) > 0]
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    return power_divergence(counts, expected, axis=None, lambda_="log-likelihood").statistic / 2


@given(
    reference=st.lists(st.integers(0, 5), min_size=1, max_size=40),
    window=st.lists(st.integers(0, 5), min_size=1, max_size=20),
)
def test_the_statistic_of_classes_is_the_likelihood_ratio_of_the_table(reference, window):
    counts = np.bincount([*reference, *window])
    found = permutation._g_statistics(np.array([window]), counts)[0]
    assert found == pytest.approx(table_g(reference, window, 6), abs=1e-9)


def test_with_many_rows_of_each_class_the_p_value_is_that_of_the_g_test():
    rng = np.random.default_rng(3)
    reference, window = rng.integers(0, 4, 2000), rng.integers(0, 4, 300)
    counts = np.array([np.bincount(c, minlength=4) for c in (window, reference)])
    expected = counts.sum(1, keepdims=True) * counts.sum(0) / counts.sum()
    textbook = power_divergence(
        counts, expected, axis=None, ddof=counts.size - 1 - 3, lambda_="log-likelihood"
    ).pvalue
    assert class_shift_p_value(reference, window) == pytest.approx(textbook, abs=0.05)


def test_changed_class_shares_are_detected_and_equal_ones_are_not():
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 1000, 3000)
    assert class_shift_p_value(reference, rng.integers(0, 1000, 30)) > 0.05
    assert class_shift_p_value(reference, np.full(30, 7)) == 1 / (permutation.ROUNDS + 1)
    assert class_shift_p_value(reference, np.arange(1000, 1030)) == 1 / (permutation.ROUNDS + 1)
