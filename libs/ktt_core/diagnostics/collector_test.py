"""The diagnostics against the decoder, scikit-learn and naive counts, on random forests."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score

from ktt_core.decoding import decode, leaf_log_proba
from ktt_core.diagnostics import SplitDiagnostics, leaf_figures, level_figures, top_pairs
from ktt_core.diagnostics.answers import THRESHOLDS
from ktt_core.errors import InvalidArgumentError
from ktt_core.metrics import compute_metrics
from ktt_core.taxonomy import HIDDEN, Taxonomy


@st.composite
def scored_rows(draw: st.DrawFn):
    """Draw a ragged forest, level or leaf scores, a temperature and true paths."""
    path = st.lists(st.sampled_from("abcd"), min_size=1, max_size=4)
    taxonomy = Taxonomy.from_paths(draw(st.lists(path, min_size=1, max_size=15)))
    n_rows = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = taxonomy.level_sizes if draw(st.booleans()) else [taxonomy.n_leaves]
    levels = [(2 * rng.normal(size=(n_rows, size))).astype(np.float32) for size in sizes]
    leaves = rng.integers(0, taxonomy.n_leaves, n_rows)
    right = rng.random(n_rows) < draw(st.sampled_from([0.0, 0.6, 1.0]))
    leaves[right] = leaf_log_proba(levels, taxonomy)[right].argmax(axis=1)
    temperature = draw(st.sampled_from([0.3, 1.0, 2.5]))
    return taxonomy, levels, temperature, taxonomy.leaf_codes[leaves]


def diagnose(taxonomy, levels, temperature, codes, size=1000):
    diagnostics = SplitDiagnostics(taxonomy, temperature)
    for start in range(0, len(codes), size):
        rows = slice(start, start + size)
        diagnostics([level[rows] for level in levels], codes[rows])
    return diagnostics


@settings(deadline=None)
@given(scored_rows())
def test_calibration_and_counts_are_those_of_the_metrics(case):
    taxonomy, levels, temperature, codes = case
    found = diagnose(*case)
    assert found.rows == len(codes)
    for bins, at in ((found.calibration, temperature), (found.raw_calibration, 1.0)):
        metrics = compute_metrics(leaf_log_proba(levels, taxonomy, at), codes, taxonomy)
        assert bins.error() == pytest.approx(metrics["calibration_error"], abs=1e-5)
    metrics = compute_metrics(leaf_log_proba(levels, taxonomy, temperature), codes, taxonomy)
    leaves = leaf_figures(found.counts)
    assert leaves.hits.sum() / found.rows == metrics["leaf_accuracy"]
    assert np.nanmean(leaves.f1) == pytest.approx(metrics["leaf_macro_f1"])


@settings(deadline=None, max_examples=50)
@given(scored_rows())
def test_level_figures_agree_with_scikit_learn(case):
    taxonomy, levels, temperature, codes = case
    predicted = decode(levels, taxonomy, temperature=temperature).codes[:, 0]
    found = diagnose(*case)
    figures = {figure.level: figure for figure in level_figures(found.counts, found.first_wrong)}
    for level in range(taxonomy.depth):
        names = taxonomy.classes[taxonomy.level_offsets[level] : taxonomy.level_offsets[level + 1]]
        real = [code for code, name in enumerate(names) if name != HIDDEN]
        true, said = codes[:, level], predicted[:, level]
        counts = np.isin(true, real) | np.isin(said, real)
        if not counts.any():
            assert level not in figures
            continue
        true, said = true[counts], said[counts]
        seen = np.intersect1d(np.union1d(true, said), real)
        figure = figures[level]
        assert (figure.classes, figure.seen, figure.rows) == (len(real), len(seen), len(true))
        assert figure.accuracy == (true == said).mean()
        for value, function in (
            (figure.precision, precision_score),
            (figure.recall, recall_score),
            (figure.f1, f1_score),
        ):
            expected = function(true, said, labels=seen, average="macro", zero_division=0)
            assert value == pytest.approx(expected)
        wrong = codes != predicted
        assert figure.first_wrong == sum(row[level] and not row[:level].any() for row in wrong)


@settings(deadline=None)
@given(scored_rows())
def test_answer_shares_are_those_of_the_decoder(case):
    taxonomy, levels, temperature, codes = case
    shares = diagnose(*case).answers.shares()
    assert [share.min_confidence for share in shares] == pytest.approx(THRESHOLDS.tolist())
    for share in (shares[0], shares[37], shares[80], shares[-1]):
        least = share.min_confidence
        below, decoded, above = (
            decode(levels, taxonomy, min_confidence=least * factor, temperature=temperature)
            for factor in (1 - 1e-6, 1, 1 + 1e-6)
        )
        if (below.stop_levels != above.stop_levels).any():
            continue  # A probability so near the threshold that rounding decides.
        said, n_rows = decoded.codes[:, 0], len(codes)
        # Decoded paths have no padding: a path to a padded leaf is full at its last real class.
        whole = decode(levels, taxonomy, temperature=temperature).stop_levels[:, 0]
        stops = decoded.stop_levels[:, 0]
        full, none = stops == whole, stops < 0
        part = ~full & ~none
        # Only a class above the last level can be a path's end and still be a full path.
        ragged = HIDDEN in taxonomy.classes
        right = (said == codes)[np.arange(n_rows), np.maximum(stops, 0)]
        assert share.none == pytest.approx(none.mean(), abs=1e-9)
        if not ragged:
            assert share.full == pytest.approx(full.mean())
            assert share.part == pytest.approx(part.mean())
            assert share.full_right_rows == (full & right).sum()
            assert share.part_right_rows == (part & right).sum()
        assert 0 <= share.full_right_rows <= share.full_rows
        assert 0 <= share.part_right_rows <= share.part_rows
        assert share.full + share.part + share.none == pytest.approx(1.0)


@settings(deadline=None)
@given(scored_rows())
def test_confusions_equal_naive_counts(case):
    taxonomy, levels, temperature, codes = case
    predicted = decode(levels, taxonomy, temperature=temperature).leaves[:, 0].tolist()
    true = codes[:, -1].tolist()
    expected = Counter((t, p) for t, p in zip(true, predicted, strict=True) if t != p)
    found = diagnose(*case).confusions
    first, second, counts = (array.tolist() for array in found.pairs())
    assert dict(zip(zip(first, second, strict=True), counts, strict=True)) == expected
    assert found.is_exact and found.rows == expected.total()
    paths = taxonomy.leaf_paths
    both: Counter[tuple[int, ...]] = Counter()
    for (first, second), count in expected.items():
        both[tuple(sorted((first, second)))] += count
    for siblings in (True, False):
        pairs = top_pairs(found, taxonomy, 1000, siblings=siblings)
        assert {tuple(sorted((p.first, p.second))): p.rows for p in pairs} == {
            pair: count
            for pair, count in both.items()
            if (paths[pair[0]][:-1] == paths[pair[1]][:-1]) == siblings
        }
        for pair in pairs:
            assert pair.forward == expected[pair.first, pair.second] >= pair.backward
            assert pair.backward == expected[pair.second, pair.first]
        assert [p.rows for p in pairs] == sorted((p.rows for p in pairs), reverse=True)
        assert top_pairs(found, taxonomy, 2, siblings=siblings) == pairs[:2]


@settings(deadline=None)
@given(scored_rows(), st.integers(1, 7))
def test_diagnostics_do_not_depend_on_the_batches(case, size):
    taxonomy, levels, temperature, codes = case
    whole = diagnose(*case)
    parts = diagnose(taxonomy, levels, temperature, codes, size)
    assert np.array_equal(whole.counts.hits, parts.counts.hits)
    assert np.array_equal(whole.first_wrong, parts.first_wrong)
    assert whole.answers.shares() == parts.answers.shares()
    # Sums over other blocks round differently; where the exact value is 0, only rounding remains.
    assert whole.calibration.error() == pytest.approx(parts.calibration.error(), abs=1e-6)
    for mine, theirs in zip(whole.confusions.pairs(), parts.confusions.pairs(), strict=True):
        assert np.array_equal(mine, theirs)


def test_memory_is_not_quadratic_in_ten_thousand_classes():
    taxonomy = Taxonomy.from_paths([(f"{n // 100}", f"{n % 100}") for n in range(10_000)])
    rng = np.random.default_rng(0)
    diagnostics = SplitDiagnostics(taxonomy)
    tracemalloc.start()
    try:
        for _ in range(4):
            scores = rng.normal(size=(64, 10_000)).astype(np.float32)
            diagnostics([scores], taxonomy.leaf_codes[rng.integers(0, 10_000, 64)])
        assert tracemalloc.get_traced_memory()[1] < 64e6
    finally:
        tracemalloc.stop()


def test_without_rows_there_are_no_diagnostics():
    taxonomy = Taxonomy.from_paths(["ab", "cd"])
    diagnostics = SplitDiagnostics(taxonomy)
    assert diagnostics.rows == 0 and diagnostics.answers.shares() == []
    assert top_pairs(diagnostics.confusions, taxonomy, 5, siblings=True) == []
    assert level_figures(diagnostics.counts, diagnostics.first_wrong) == []


def test_mismatched_scores_are_refused():
    taxonomy = Taxonomy.from_paths(["ab", "cd"])
    diagnostics = SplitDiagnostics(taxonomy)
    for scores, codes in (
        (np.zeros((2, 3)), np.zeros((2, 2), int)),
        (np.zeros((2, 2)), np.zeros((3, 2), int)),
        (np.zeros((2, 2)), np.full((2, 2), 7)),
        (np.full((2, 2), np.nan), np.zeros((2, 2), int)),
    ):
        with pytest.raises(InvalidArgumentError):
            diagnostics([scores], codes)
    with pytest.raises(InvalidArgumentError):
        SplitDiagnostics(taxonomy, 0.0)
