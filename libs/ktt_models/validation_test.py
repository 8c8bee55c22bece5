"""Validation in one pass, or in two where there is too much to keep."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from ktt_core.decoding import fit_temperature, leaf_log_proba
from ktt_core.taxonomy import Taxonomy
from ktt_models import validation
from ktt_models.validation import validate

TAXONOMY = Taxonomy.from_paths([(a, b) for a in "ab" for b in "012"])


def test_too_many_scores_are_sampled_and_the_metrics_are_of_all_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(0)
    codes = TAXONOMY.leaf_codes[generator.integers(0, 6, 1000)]
    scores = generator.normal(size=(1000, 6)).astype(np.float32)
    scores[np.arange(1000), codes[:, -1]] += 2.0
    passes = []

    def scored() -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
        passes.append(1)
        for start in range(0, 1000, 64):
            yield [scores[start : start + 64]], codes[start : start + 64]

    temperature, metrics = validate(scored, 1000, TAXONOMY)
    assert len(passes) == 1
    assert temperature == pytest.approx(fit_temperature([[scores]], codes, TAXONOMY), rel=1e-3)
    log_proba = leaf_log_proba([scores], TAXONOMY, temperature)
    loss = -log_proba[np.arange(1000), codes[:, -1]].mean()
    assert metrics["val_loss"] == pytest.approx(loss, rel=1e-5)
    monkeypatch.setattr(validation, "MAX_KEPT_CELLS", 8 * 300)
    sampled, again = validate(scored, 1000, TAXONOMY)
    assert len(passes) == 3
    every = slice(None, None, 4)
    expected = fit_temperature([[scores[every]]], codes[every], TAXONOMY)
    assert sampled == pytest.approx(expected, rel=1e-3)
    assert again["leaf_accuracy"] == metrics["leaf_accuracy"]
    assert again["calibration_error_uncalibrated"] == metrics["calibration_error_uncalibrated"]
