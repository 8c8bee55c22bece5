"""The report in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktt_core.diagnostics import SplitDiagnostics
from ktt_core.taxonomy import Taxonomy
from trainer.report.findings import find
from trainer.report.report_data import ReportData
from trainer.report.summary import Summary, summarise, wilson_interval

TREE = Taxonomy.from_paths([(a, b) for a in "ab" for b in "cdef"])


def summary(
    true: list[int],
    predicted: list[int],
    confidence: float = 0.9,
    taxonomy: Taxonomy = TREE,
    **more: Any,
) -> Summary:
    scores = np.full((len(true), taxonomy.n_leaves), (1 - confidence) / (taxonomy.n_leaves - 1))
    scores[np.arange(len(true)), predicted] = confidence
    diagnostics = SplitDiagnostics(taxonomy)
    diagnostics([np.log(scores)], taxonomy.leaf_codes[np.array(true)])
    known = {
        "split_rows": {"train": 800, "test": len(true)},
        "train_rows": np.full(taxonomy.n_leaves, 100),
        "config": {},
        "diagnostics": diagnostics,
    }
    facts = ReportData("shop", "m", taxonomy, **{**known, **more})
    found = find(facts)
    return summarise(facts, found.levels, found.leaves)


def test_the_summary_of_a_good_model_names_its_strengths():
    rows = [leaf for leaf in range(8) for _ in range(50)]
    text = summary(rows, rows, 0.99)
    assert text.wrong == []
    assert any("100\u202f% of 400 test texts get the whole path right" in s for s in text.right)
    assert any("8 of the 8 classes" in s for s in text.right)
    assert any("well calibrated" in s for s in text.right)


def test_the_summary_of_a_poor_model_names_its_mistakes():
    true = [leaf for leaf in range(8) for _ in range(50)]
    # "c" and "d" below "a" are confused, and all of "c" below "b" goes to "a".
    predicted = [1] * 50 + [0] * 20 + [1] * 30 + true[100:200] + [2] * 50 + true[250:]
    text = " ".join(summary(true, predicted, 0.99).wrong)
    assert "Most often confused below the same parent: “c” and “d” (70 texts)" in text
    assert "Most often confused across parents: “c” and “e” (50 texts)" in text
    assert "No text of 2 classes is right (100 texts in all)" in text
    assert "Of the 120 wrong paths, 58\u202f% leave the right one at level 2 of 2" in text
    assert "mostly too high" in text


def test_rare_classes_that_fail_are_named_as_the_cause():
    true = [0] * 40 + [1] * 160
    predicted = [1] * 20 + [0] * 20 + [1] * 160
    rows = np.array([8, 500, *[500] * 6])
    text = " ".join(summary(true, predicted, train_rows=rows).wrong)
    assert "fewer than 10 training texts are right in 50\u202f% of their texts" in text
    assert "the others in 100\u202f%" in text
    rows[0] = 500
    assert "training texts" not in " ".join(summary(true, predicted, train_rows=rows).wrong)


def test_few_rows_and_missing_test_rows_are_mentioned():
    text = " ".join(summary([0, 1], [0, 1], split="val").notes)
    assert "There are no test texts" in text and "Only 2 texts: all metrics" in text
    assert "6 classes without validation texts" in text


def test_with_one_level_there_are_no_parents():
    taxonomy = Taxonomy.from_paths([("spam",), ("ham",)])
    text = summary([0] * 10 + [1] * 10, [1] * 10 + [1] * 10, taxonomy=taxonomy)
    assert any("get the class right" in sentence for sentence in text.right)
    assert not any("parent" in sentence or "level" in sentence for sentence in text.wrong)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([0.5, 0.6, 0.7], "The last validation was the best (epoch 3 of 3)"),
        ([0.5, 0.7, 0.6], "The validation was best at epoch 2 of 3"),
    ],
)
def test_the_best_state_is_named(values, sentence):
    history = [{"epoch": n + 1, "hierarchical_f1": value} for n, value in enumerate(values)]
    assert any(sentence in note for note in summary([0], [0], history=history).notes)


def test_without_diagnostics_there_are_only_notes():
    facts = ReportData("shop", "m", TREE, {"train": 8}, np.zeros(8, int), {})
    text = summarise(facts, [], None)
    assert text.right == [] and text.wrong == [] and "Nothing is known" in text.notes[0]


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_contains_the_share(case):
    hits, rows = case
    low, high = wilson_interval(hits, rows)
    assert 0.0 <= low <= hits / rows + 1e-12 and hits / rows - 1e-12 <= high <= 1.0


def test_the_interval_is_wilsons():
    # From Brown, Cai & DasGupta (2001): 8 of 10.
    assert wilson_interval(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
