"""Class weights and logit adjustment by hand, and in every head."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.balancing import Balance, log_odds

#: Two classes above, three leaves.
TREE = Taxonomy.from_paths([("A", "x"), ("A", "y"), ("B", "z")])
COUNTS = [torch.tensor([9, 1]), torch.tensor([6, 3, 1])]
CODES = torch.tensor([[0, 0], [0, 1], [1, 2]])


def test_a_class_weighs_rows_by_classes_times_its_rows():
    balance = Balance(TREE, "balanced")
    balance.init_from_counts(COUNTS)
    expected = [10 / 18, 10 / 2, 10 / 18, 10 / 9, 10 / 3]
    np.testing.assert_allclose(balance.weights, expected, rtol=1e-6)


def test_weighted_rows_count_as_if_all_classes_were_equally_frequent():
    balance = Balance(TREE, "balanced")
    balance.init_from_counts(COUNTS)
    rows = torch.tensor([0] * 6 + [1] * 3 + [2])
    losses = torch.tensor([1.0, 10.0, 100.0])[rows]
    logits = torch.zeros(10, 3)
    logits[torch.arange(10), rows] = -losses
    plain = functional.cross_entropy(logits, rows, reduction="none")
    by_class = (plain[0] + plain[6] + plain[9]) / 3
    torch.testing.assert_close(balance.cross_entropy(logits, rows, 1), by_class)


def test_a_class_without_rows_keeps_all_finite():
    balance = Balance(TREE, "balanced", 1.0)
    balance.init_from_counts([torch.tensor([4, 0]), torch.tensor([4, 0, 0])])
    # One class occurs, which is all there is to balance.
    assert balance.weights[0] == balance.weights[2] == 1.0
    assert balance.weights.isfinite().all() and balance.shifts.isfinite().all()


def test_adjusted_logits_are_moved_by_the_logarithms_of_the_shares():
    balance = Balance(TREE, None, 0.5)
    balance.init_from_counts(COUNTS)
    moved = balance.adjust(torch.zeros(1, 3), level=1)
    torch.testing.assert_close(
        moved.softmax(dim=1), (0.5 * torch.tensor([[0.6, 0.3, 0.1]]).log()).softmax(dim=1)
    )
    # Every level's shifts are about 0, so that sigmoids stay where they were.
    everything = balance.adjust(torch.zeros(1, 5))
    torch.testing.assert_close(everything[:, 2:], moved)
    np.testing.assert_allclose(everything[:, :2].mean(), 0.0, atol=1e-6)


def test_means_over_classes_weigh_a_row_by_its_class_of_the_level():
    balance = Balance(TREE, "balanced")
    balance.init_from_counts(COUNTS)
    losses = torch.arange(15.0).reshape(3, 5)
    above, leaves = balance.weights[CODES[:, 0]], balance.weights[2 + CODES[:, 1]]
    expected = (losses[:, :2].sum(1) @ above + losses[:, 2:].sum(1) @ leaves) / 15
    torch.testing.assert_close(balance.mean(losses, CODES), expected)
    level = balance.level_mean(losses[:, 2:], CODES[:, 1], 1)
    torch.testing.assert_close(level, (losses[:, 2:].mean(1) @ leaves) / 3)


def test_log_odds_are_of_the_shares_and_within_4():
    found = log_odds([torch.tensor([3, 1, 0]), torch.tensor([4])])
    np.testing.assert_allclose(found, [np.log(3), -np.log(3), -4.0, 4.0], rtol=1e-6)
    assert found.dtype == torch.float32


def test_without_options_it_changes_nothing():
    balance = Balance(TREE)
    balance.init_from_counts(COUNTS)
    losses, logits = torch.rand(3, 5), torch.randn(3, 3)
    assert balance.mean(losses, CODES) == losses.mean()
    assert balance.adjust(logits, 1) is logits
    expected = functional.cross_entropy(logits, CODES[:, 1])
    assert balance.cross_entropy(logits, CODES[:, 1], 1) == expected


@pytest.mark.parametrize("options", [("balanced", 0.0), (None, 1.5)])
def test_a_checkpoint_brings_back_what_was_counted(options):
    counted, restored = Balance(TREE, *options), Balance(TREE, *options)
    counted.init_from_counts(COUNTS)
    restored.load_state_dict(counted.state_dict())
    logits = torch.randn(3, 3)
    mine, theirs = (b.cross_entropy(logits, CODES[:, 1], 1) for b in (counted, restored))
    assert mine == theirs
