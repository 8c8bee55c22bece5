"""Without drift, windows alarm at the configured rate; with drift, the first window alarms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, ks_2samp

from monitoring.permutation import class_shift_p_value, ks_threshold

RATE = 0.05
WINDOWS = 200
# Bounds that a correct service exceeds once in ten thousand runs, on either side.
CERTAINTY = 1e-4
FEWEST, MOST = (int(n) for n in binom.ppf([CERTAINTY, 1 - CERTAINTY], WINDOWS, RATE))


class Texts:
    """Features of texts from one distribution: correlated, some counts, some mostly constant."""

    def __init__(self, seed, n_columns, n_classes=400):
        self.rng = np.random.default_rng(seed)
        self.mixing = self.rng.normal(size=(5, n_columns))
        self.offset = np.zeros(n_columns)
        # Few classes are common and most are rare, as in real taxonomies.
        weights = 1.0 / np.arange(1, n_classes + 1)
        self.shares = weights / weights.sum()

    def draw(self, n):
        common = self.rng.normal(size=(n, 5)) @ self.mixing
        columns = common + self.rng.normal(size=common.shape) + self.offset
        columns[:, ::4] = np.round(columns[:, ::4])
        columns[:, 1::5] = np.maximum(columns[:, 1::5], 2.5)
        return columns.astype(np.float32)

    def classes(self, n):
        return self.rng.choice(len(self.shares), size=n, p=self.shares)


def drifts(reference, window):
    threshold = ks_threshold(reference, window, RATE)
    return any(
        ks_2samp(reference[:, column], window[:, column]).pvalue <= threshold
        for column in range(reference.shape[1])
    )


def count_alarms(test, draw, n_reference, n_window):
    """Count alarms without drift; each window has a new reference, as the rate covers both."""
    return sum(test(draw(n_reference), draw(n_window)) for _ in range(WINDOWS))


@pytest.mark.parametrize(
    ("n_reference", "n_window", "n_columns"), [(500, 30, 27), (1000, 100, 27), (300, 30, 1)]
)
def test_data_drift_alarms_at_its_rate_without_drift(n_reference, n_window, n_columns):
    texts = Texts(n_reference + n_columns, n_columns)
    alarms = count_alarms(drifts, texts.draw, n_reference, n_window)
    assert FEWEST <= alarms <= MOST


@pytest.mark.parametrize(
    ("n_reference", "n_window", "n_classes"),
    [(500, 30, 2), (500, 30, 400), (2000, 30, 5000), (2000, 200, 400)],
)
def test_class_drift_alarms_at_its_rate_without_drift(n_reference, n_window, n_classes):
    texts = Texts(n_classes, 1, n_classes)
    alarms = count_alarms(
        lambda reference, window: class_shift_p_value(reference, window) <= RATE,
        texts.classes,
        n_reference,
        n_window,
    )
    # With two classes the p-value takes few values, so the actual rate is below the configured one.
    assert (FEWEST if n_classes > 2 else 0) <= alarms <= MOST


def test_another_distribution_alarms_within_one_window():
    texts, others = Texts(0, 27), Texts(1, 27)
    others.offset[:] = 3.0
    others.shares = others.shares[::-1]
    reference, classes = texts.draw(500), texts.classes(500)
    for _ in range(20):
        assert drifts(reference, others.draw(30))
        assert class_shift_p_value(classes, others.classes(30)) <= RATE
