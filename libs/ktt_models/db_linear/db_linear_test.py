"""The linear head by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ktt_core.config import build_config
from ktt_core.taxonomy import Taxonomy
from ktt_models.db_linear.db_linear import DBLinear, DBLinearConfig, LinearHead

TREE = Taxonomy.from_paths([("A", "x"), ("A", "y"), ("B", "z")])


def configure(**values: Any) -> DBLinearConfig:
    return build_config(DBLinearConfig, "db_linear", values)


def make_head(**overrides) -> LinearHead:
    head = LinearHead(2, TREE, configure(**overrides))
    head.linear.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    head.linear.bias.data = torch.tensor([0.0, 0.0, math.log(2)])
    return head


def test_its_loss_is_the_cross_entropy_of_the_leaves():
    head = make_head(dropout=0.0)
    logits = head(torch.tensor([[math.log(3), 0.0], [0.0, 0.0]]))
    # exp(logits): 3, 1, 2 and 1, 1, 2.
    loss = head.loss(logits, torch.tensor([[0, 0], [1, 2]]))
    assert loss.item() == pytest.approx(-(math.log(3 / 6) + math.log(2 / 4)) / 2)


def test_its_scores_are_the_log_probabilities_of_the_leaves():
    head = make_head(dropout=0.0)
    (scores,) = head.level_scores(head(torch.tensor([[math.log(3), 0.0]])))
    torch.testing.assert_close(scores.exp(), torch.tensor([[3.0, 1.0, 2.0]]) / 6)


def test_features_drop_out_in_training_only():
    head = make_head(dropout=0.5)
    features = torch.ones(1000, 2)
    torch.manual_seed(0)
    kept = head(features)[:, 0]
    assert set(kept.tolist()) == {0.0, 2.0} and kept.mean().item() == pytest.approx(1.0, abs=0.1)
    head.eval()
    assert set(head(features)[:, 0].tolist()) == {1.0}


def test_the_original_profile_is_the_original_projects():
    config = configure(profile="original")
    assert (config.encoder_lr, config.classifier_lr, config.dropout) == (1e-5, 1e-5, 0.25)
    assert (config.batch_size, config.eval_batch_size) == (32, 64)
    assert (config.max_len, config.epochs) == (64, 5)


def test_a_model_makes_its_head_for_its_taxonomy():
    head = DBLinear(TREE, configure()).make_head(7)
    assert isinstance(head, LinearHead) and head.linear.weight.shape == (3, 7)
