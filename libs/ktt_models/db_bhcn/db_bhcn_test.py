"""BHCN by hand, and against the formula written out row by row."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ktt_core.config import build_config
from ktt_core.taxonomy import Taxonomy
from ktt_models.db_bhcn.db_bhcn import DBBHCN, BHCNHead, DBBHCNConfig, target_trust
from ktt_models.db_bhcn.flow import BranchingFlow, level_weights

TREE = Taxonomy.from_paths([("A", "x"), ("A", "y"), ("B", "z")])


def configure(**values: Any) -> DBBHCNConfig:
    return build_config(DBBHCNConfig, "db_bhcn", values)


def naive_loss(head: BHCNHead, outputs: list[Tensor], codes: Tensor, config: DBBHCNConfig):
    """Return the loss term by term."""
    taxonomy, total = head.taxonomy, outputs[0].new_zeros(())
    depth, gamma = taxonomy.depth, config.gamma_l
    log_p = [torch.log_softmax(logits, dim=1) for logits in outputs]
    for row, path in enumerate(codes.tolist()):
        for level in range(depth):
            weight = 1.0 if depth == 1 else 1 - (-gamma + 2 * gamma * level / (depth - 1))
            total = total - config.lambda_l * weight * log_p[level][row, path[level]]
        for level in range(depth - 1):
            below = log_p[level + 1][row].tolist()
            best = below.index(max(below))
            parent = taxonomy.parent_of[level + 1][best]
            scaled = [-value + max(below) for value in below]
            factor = 1 - scaled[path[level + 1]] / (max(scaled) or 1.0)
            total = total - config.lambda_h * factor * log_p[level][row, parent]
    return total / len(codes)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=15),
    st.integers(0, 2**31),
    st.floats(-0.9, 0.9),
)
def test_its_loss_and_gradients_are_those_of_the_formula(paths, seed, gamma):
    taxonomy = Taxonomy.from_paths(paths)
    config = configure(gamma_l=gamma, lambda_l=0.8, lambda_h=0.6, dropout=0.0)
    generator = torch.Generator().manual_seed(seed)
    head = BHCNHead(3, taxonomy, config).double()
    features = torch.randn(4, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    leaves = torch.randint(taxonomy.n_leaves, (4,), generator=generator)
    codes = torch.as_tensor(taxonomy.leaf_codes)[leaves].long()
    outputs = head(features)
    mine, theirs = head.loss(outputs, codes), naive_loss(head, outputs, codes, config)
    torch.testing.assert_close(mine, theirs)
    (gradient,) = torch.autograd.grad(mine, features, retain_graph=True)
    (expected,) = torch.autograd.grad(theirs, features)
    torch.testing.assert_close(gradient, expected)


def test_a_level_sees_the_one_above_it_and_the_features():
    flow = BranchingFlow(1, [2, 1], dropout=0.0, nonlinear="relu")
    flow.layers[0].weight.data = torch.tensor([[1.0], [-1.0]])
    flow.layers[1].weight.data = torch.tensor([[10.0, 1.0, 100.0]])
    above, below = flow(torch.tensor([[3.0]]))
    assert above.tolist() == [[3.0, -3.0]]
    # phi gives (3, 0), which is normalised to (1, -1).
    assert below.item() == pytest.approx(10 - 1 + 300, abs=1e-3)


def test_what_goes_to_the_next_level_drops_out_and_the_features_there_do_not():
    torch.manual_seed(0)
    flow = BranchingFlow(1, [2, 2], dropout=0.5, nonlinear="tanh")
    flow.layers[0].weight.data = torch.tensor([[1.0], [-1.0]])
    flow.layers[1].weight.data = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    above, below = flow(torch.ones(1000, 1))
    assert set(above[:, 0].tolist()) == {0.0, 2.0}
    assert set(below[:, 0].tolist()) == {1.0}
    assert len(set(below[:, 1].round(decimals=3).tolist())) == 2


@pytest.mark.parametrize(
    ("gamma", "depth", "expected"),
    [(-0.1, 3, [0.9, 1.0, 1.1]), (0.5, 2, [1.5, 0.5]), (-0.1, 1, [1.0])],
)
def test_levels_weigh_by_gamma_and_a_single_level_weighs_1(gamma, depth, expected):
    assert level_weights(gamma, depth) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("logits", "code", "expected"),
    [
        ([1.0, 2.0, 5.0], 2, 1.0),
        ([1.0, 2.0, 5.0], 0, 0.0),
        ([1.0, 2.0, 5.0], 1, 0.25),
        ([7.0], 0, 1.0),
        ([4.0, 4.0], 1, 1.0),
    ],
)
def test_the_penalty_weakens_as_the_true_child_gets_less_probable(logits, code, expected):
    found = target_trust(torch.tensor([logits], requires_grad=True), torch.tensor([code]))
    assert found.tolist() == pytest.approx([expected])
    assert not found.requires_grad


def test_its_loss_by_hand():
    head = BHCNHead(1, TREE, configure(gamma_l=-0.5, lambda_l=2.0, lambda_h=0.5))
    outputs = [torch.tensor([[math.log(3), 0.0]]), torch.tensor([[0.0, math.log(2), math.log(4)]])]
    # Levels: A with 3/4, y with 2/7; z, the likeliest leaf, is below B; f_b = ln 2 / ln 4.
    levels = -2.0 * (0.5 * math.log(3 / 4) + 1.5 * math.log(2 / 7))
    penalty = -0.5 * 0.5 * math.log(1 / 4)
    loss = head.loss(outputs, torch.tensor([[0, 1]]))
    assert loss.item() == pytest.approx(levels + penalty, rel=1e-6)


def test_its_scores_are_every_levels_log_probabilities():
    head = BHCNHead(5, TREE, configure()).eval()
    scores = head.level_scores(head(torch.randn(3, 5)))
    assert [level.shape for level in scores] == [(3, 2), (3, 3)]
    for level in scores:
        torch.testing.assert_close(level.exp().sum(dim=1), torch.ones(3))


def test_the_original_profile_is_the_original_projects():
    config = configure(profile="original")
    assert (config.encoder_lr, config.classifier_lr, config.dropout) == (3e-5, 5e-4, 0.3)
    assert (config.gamma_l, config.lambda_l, config.lambda_h) == (-0.1, 1.0, 0.7)
    assert (config.nonlinear, config.batch_size, config.eval_batch_size) == ("relu", 16, 64)


def test_a_model_makes_its_head_for_its_taxonomy():
    head = DBBHCN(TREE, configure()).make_head(7)
    assert isinstance(head, BHCNHead)
    assert [layer.weight.shape for layer in head.flow.layers] == [(2, 7), (3, 9)]
