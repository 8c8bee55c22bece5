"""The fitted temperature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.decoding import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    fit_temperature,
    leaf_log_proba,
)
from ktt_core.decoding.temperature import penalty
from ktt_core.errors import InvalidArgumentError
from ktt_core.taxonomy import Taxonomy

FOREST = Taxonomy.from_paths([(a, b) for a in "abcde" for b in "0123"])


def likelihood(levels, codes, temperature):
    log_proba = leaf_log_proba(levels, FOREST, temperature).astype(np.float64)
    return -log_proba[np.arange(len(codes)), codes[:, -1]].mean()


def draw_rows(n_rows, temperature, seed=0, scale=4.0):
    """Draw scores, and true leaves from their distribution at a temperature."""
    rng = np.random.default_rng(seed)
    levels = [
        (scale * rng.normal(size=(n_rows, size))).astype(np.float32) for size in FOREST.level_sizes
    ]
    proba = np.exp(leaf_log_proba(levels, FOREST, temperature)).cumsum(axis=1)
    leaves = (rng.random((n_rows, 1)) < proba / proba[:, -1:]).argmax(axis=1)
    return levels, FOREST.leaf_codes[leaves]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 8.0])
def test_a_known_temperature_is_recovered(temperature):
    levels, codes = draw_rows(20_000, temperature)
    assert fit_temperature([levels], codes, FOREST) == pytest.approx(temperature, rel=0.06)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0.05, 20.0), st.floats(0.01, 300.0))
def test_the_fit_is_at_least_as_probable_as_its_neighbours_and_as_likely_as_one(
    seed, temperature, scale
):
    levels, _ = draw_rows(60, temperature, seed, scale)
    codes = FOREST.leaf_codes[np.random.default_rng(seed).integers(0, FOREST.n_leaves, 60)]
    codes[:30] = FOREST.leaf_codes[leaf_log_proba(levels, FOREST)[:30].argmax(axis=1)]
    fitted = fit_temperature([levels], codes, FOREST)
    assert MIN_TEMPERATURE <= fitted <= MAX_TEMPERATURE

    def objective(temperature):
        return likelihood(levels, codes, temperature) + penalty(temperature) / len(codes)

    assert likelihood(levels, codes, fitted) <= likelihood(levels, codes, 1.0) * (1 + 1e-5) + 1e-6
    reached = objective(fitted)
    for other in (1.0, fitted * 0.8, fitted * 1.25):
        if MIN_TEMPERATURE <= other <= MAX_TEMPERATURE:
            assert reached <= objective(other) * (1 + 1e-5) + 1e-6


def test_always_wrong_scores_give_the_upper_bound():
    levels, _ = draw_rows(100, 1.0)
    worst = FOREST.leaf_codes[leaf_log_proba(levels, FOREST).argmin(axis=1)]
    assert fit_temperature([levels], worst, FOREST) == pytest.approx(MAX_TEMPERATURE, rel=0.01)


@pytest.mark.parametrize("margin", [0.03, 0.1, 0.3, 0.7, 1.0, 3.0, 10.0])
def test_a_few_correct_rows_do_not_give_a_temperature_near_zero(margin):
    codes = FOREST.leaf_codes[np.random.default_rng(0).integers(0, FOREST.n_leaves, 24)]
    levels = [
        np.where(np.arange(size) == codes[:, [level]], margin, 0.0).astype(np.float32)
        for level, size in enumerate(FOREST.level_sizes)
    ]
    few = fit_temperature([levels], codes, FOREST)
    assert 0.5 < few <= 1.0
    # Repeating the same rows adds evidence and lowers the temperature.
    many = fit_temperature([levels] * 200, np.concatenate([codes] * 200), FOREST)
    assert many < few or margin == 10.0


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_twenty_thousand_rows_outweigh_the_prior(temperature, monkeypatch):
    levels, codes = draw_rows(20_000, temperature)
    fitted = fit_temperature([levels], codes, FOREST)
    monkeypatch.setattr("ktt_core.decoding.temperature.PRIOR_WEIGHT", 0.0)
    assert fit_temperature([levels], codes, FOREST) == pytest.approx(fitted, rel=0.01)


@given(st.floats(0.06, 19.0))
def test_the_penalty_is_zero_at_one_and_convex_in_the_inverse(temperature):
    beta = 1.0 / temperature
    assert penalty(1.0) == 0.0 <= penalty(temperature)
    middle = penalty(1.0 / ((beta + 1.0) / 2))
    assert middle <= (penalty(temperature) + penalty(1.0)) / 2 + 1e-9


def test_a_list_of_blocks_and_a_function_give_the_same():
    levels, codes = draw_rows(300, 3.0)
    blocks = [[level[start : start + 77] for level in levels] for start in range(0, 300, 77)]
    expected = fit_temperature([levels], codes, FOREST)
    assert fit_temperature(blocks, codes, FOREST) == pytest.approx(expected, rel=1e-3)
    assert fit_temperature(lambda: iter(blocks), codes, FOREST) == pytest.approx(expected, rel=1e-3)


def test_without_information_the_temperature_is_one():
    flat = [np.zeros((5, size), np.float32) for size in FOREST.level_sizes]
    assert fit_temperature([flat], FOREST.leaf_codes[:5], FOREST) == 1.0
    assert fit_temperature([], FOREST.leaf_codes[:0], FOREST) == 1.0


def test_rows_with_impossible_leaves_are_ignored():
    levels, codes = draw_rows(3000, 2.0)
    leaves = FOREST.n_leaves
    scores = np.log(np.exp(leaf_log_proba(levels, FOREST)))
    rows = np.arange(3000)
    ruled_out = (codes[:, -1] + 1) % leaves
    scores[rows, ruled_out] = -np.inf
    scores[0, codes[0, -1]] = -np.inf
    assert 1.0 < fit_temperature([[scores]], codes, FOREST) < 4.0


def test_codes_that_do_not_match_are_refused():
    levels, codes = draw_rows(10, 1.0)
    cases: list[tuple[Any, Any]] = [
        ([levels], codes[:9]),
        ([levels], np.concatenate([codes, codes])),
        ([levels], codes[:, :1]),
        ([levels], codes + 100),
        (iter([levels]), codes),
    ]
    for blocks, wrong in cases:
        with pytest.raises(InvalidArgumentError):
            fit_temperature(blocks, wrong, FOREST)
