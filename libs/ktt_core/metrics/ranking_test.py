"""Average precision of streams of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from ktt_core.errors import DataError, InvalidArgumentError
from ktt_core.metrics.ranking import PairRanking


def fed(ranking: PairRanking, truth: np.ndarray, scores: np.ndarray) -> PairRanking:
    for start in range(0, len(scores), 1000):
        rows = slice(start, start + 1000)
        ranking.update(scores[rows], scores[rows][truth[rows]])
    return ranking


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=60))
def test_ties_and_extremes_count_as_in_scikit_learn(pairs):
    truth = np.array([true for true, _ in pairs])
    scores = np.array([score for _, score in pairs], dtype=np.float32)
    truth[0] = True
    ranking = fed(PairRanking(), truth, scores)
    assert ranking.is_exact
    assert ranking.average_precision() == pytest.approx(average_precision_score(truth, scores))


@pytest.mark.parametrize("power", [1, 8, 40])
def test_a_long_stream_is_exact_for_scores_rounded_to_a_65536th(power):
    rng = np.random.default_rng(0)
    scores = (rng.random(30_000) ** power).astype(np.float32)
    truth = rng.random(30_000) < scores * 0.5 + 0.001
    ranking = fed(PairRanking(max_exact_pairs=5000), truth, scores)
    assert not ranking.is_exact
    rounded = ((scores.view(np.int32) >> 7) << 7).view(np.float32)
    value = ranking.average_precision()
    assert value == pytest.approx(average_precision_score(truth, rounded), rel=1e-12)
    assert value == pytest.approx(average_precision_score(truth, scores), abs=1e-5)


def test_an_intermediate_result_changes_nothing():
    rng = np.random.default_rng(1)
    scores = rng.random(500).astype(np.float32)
    truth = rng.random(500) < 0.2
    asked, other = PairRanking(), PairRanking()
    fed(asked, truth, scores).average_precision()
    assert (
        fed(asked, ~truth, scores).average_precision()
        == fed(fed(other, truth, scores), ~truth, scores).average_precision()
    )


def test_the_caller_may_reuse_its_array():
    ranking = PairRanking()
    block = np.array([0.9, 0.1], np.float32)
    ranking.update(block, block[:1])
    block[:] = 0.5
    assert ranking.average_precision() == 1.0


def test_a_stream_without_positives_has_no_average_precision():
    ranking = PairRanking()
    ranking.update(np.array([0.5], np.float32), np.zeros(0, np.float32))
    with pytest.raises(DataError):
        ranking.average_precision()


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan])
def test_scores_outside_0_to_1_are_refused(value):
    with pytest.raises(InvalidArgumentError):
        PairRanking().update(np.array([value], np.float32), np.zeros(0, np.float32))
