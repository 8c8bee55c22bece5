"""AWX by hand, and against its naive form."""

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
from ktt_models.db_bhcn_awx.db_bhcn_awx import DBBHCNAWX, AWXHead, DBBHCNAWXConfig
from ktt_models.pytorch import dense_reference

#: Level 0: A, B; 1: x, y, z.
TREE = Taxonomy.from_paths([("A", "x"), ("A", "y"), ("B", "z")])

forests = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=15
).map(Taxonomy.from_paths)


def configure(**values: Any) -> DBBHCNAWXConfig:
    return build_config(DBBHCNAWXConfig, "db_bhcn_awx", values)


def make_head(taxonomy: Taxonomy = TREE, **overrides) -> AWXHead:
    return AWXHead(3, taxonomy, configure(**overrides))


def some_paths(taxonomy: Taxonomy, rows: int, generator: torch.Generator) -> Tensor:
    leaves = torch.randint(taxonomy.n_leaves, (rows,), generator=generator)
    return torch.as_tensor(taxonomy.leaf_codes)[leaves].long()


@pytest.mark.parametrize(
    ("norm", "expected"),
    [
        (0, [0.6, 0.8, 0.3, 0.6, 0.8]),
        (1, [0.9, 0.8, 0.3, 0.6, 0.8]),
        (2, [math.sqrt(0.45), 0.8, 0.3, 0.6, 0.8]),
        (5, [(0.3**5 + 0.6**5) ** 0.2, 0.8, 0.3, 0.6, 0.8]),
    ],
)
def test_a_class_scores_the_norm_of_the_leaves_below_it(norm, expected):
    leaves = torch.logit(torch.tensor([[0.3, 0.6, 0.8]]))
    scores = make_head(awx_norm=norm).log_awx(leaves).exp()
    torch.testing.assert_close(scores, torch.tensor([expected]))


def test_a_sum_above_1_counts_as_1():
    scores = make_head(awx_norm=1).log_awx(torch.logit(torch.tensor([[0.7, 0.8, 0.1]])))
    assert scores[0, 0] == 0.0


@settings(deadline=None)
@given(forests, st.sampled_from([0, 1, 2, 5]), st.integers(0, 2**31))
def test_its_scores_loss_and_gradients_are_those_of_the_naive_form(taxonomy, norm, seed):
    head = make_head(taxonomy, awx_norm=norm, lambda_l=0.0).double()
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(4, taxonomy.n_leaves, dtype=torch.float64, generator=generator)
    logits.requires_grad_()
    codes = some_paths(taxonomy, 4, generator)
    outputs = [torch.zeros(4, size) for size in taxonomy.level_sizes[:-1]] + [logits]

    below, s = dense_reference.leaves_below(taxonomy), logits.sigmoid()
    naive_scores = dense_reference.awx(s, below, norm)
    torch.testing.assert_close(head.log_awx(logits).exp(), naive_scores)
    Y = head.hierarchy.ancestor_sets(codes)
    # Only at the guard of ln(1 - a) do the two differ.
    if ((naive_scores - 1.0).abs() > 1e-4).logical_or(Y > 0).all():
        mine = head.loss(outputs, codes)
        theirs = dense_reference.awx_loss(s, Y, below, norm, eps=1e-6)
        torch.testing.assert_close(mine, theirs)
        (gradient,) = torch.autograd.grad(mine, logits)
        (expected,) = torch.autograd.grad(theirs, logits)
        torch.testing.assert_close(gradient, expected)


@settings(deadline=None)
@given(forests, st.integers(0, 12), st.floats(0.1, 100.0), st.integers(0, 2**31))
def test_a_parent_never_scores_less_than_a_child(taxonomy, norm, scale, seed):
    head = make_head(taxonomy, awx_norm=norm)
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(3, taxonomy.n_leaves, generator=generator)
    scores = head.log_awx(logits)
    assert (scores <= 0).all() and scores.isfinite().all()
    assert (scores[:, head.hierarchy.parent] >= scores).all()


def test_exactly_one_leaf_is_true_by_its_odds():
    s = torch.tensor([[0.9, 0.5, 0.2]])
    (scores,) = make_head().level_scores([torch.zeros(1, 2), torch.logit(s)])
    # Only the first of three independent leaves: .9 * .5 * .8, and so on.
    alone = [0.9 * 0.5 * 0.8, 0.1 * 0.5 * 0.8, 0.1 * 0.5 * 0.2]
    expected = torch.tensor([[share / sum(alone) for share in alone]])
    torch.testing.assert_close(scores.softmax(dim=1), expected)


@pytest.mark.parametrize("norm", [0, 1, 5])
@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_saturated_scores_have_a_finite_loss_and_gradient(norm, logit):
    head = make_head(awx_norm=norm)
    outputs = [torch.full((2, size), logit, requires_grad=True) for size in (2, 3)]
    loss = head.loss(outputs, torch.tensor([[0, 0], [1, 2]]))
    gradients = torch.autograd.grad(loss, outputs, allow_unused=True, materialize_grads=True)
    assert loss.isfinite() and all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("norm", [1, 5])
def test_at_the_start_the_fullest_class_sums_to_a_half_and_can_learn(norm):
    taxonomy = Taxonomy.from_paths([*(("A", f"{leaf}") for leaf in range(500)), ("B", "z")])
    head = make_head(taxonomy, awx_norm=norm)
    z = head(torch.zeros(1, 3))[-1].detach().requires_grad_()
    torch.testing.assert_close(z.sigmoid()[0, :500].pow(norm).sum(), torch.tensor(0.5))
    fullest = head.log_awx(z)[0, 0]
    (gradient,) = torch.autograd.grad(fullest, z)
    assert fullest < 0 and gradient[0, :500].abs().min() > 0


def test_its_loss_adds_the_levels_to_the_scores():
    head = make_head(awx_norm=1, lambda_l=0.5, gamma_l=-0.2)
    leaves = torch.logit(torch.tensor([[0.2, 0.3, 0.1]]))
    outputs = [torch.tensor([[math.log(3), 0.0]]), leaves]
    # a: A .5, B .1, x .2, y .3, z .1; the row is A, y.
    scores = -sum(map(math.log, (0.5, 0.9, 0.8, 0.3, 0.9))) / 5
    odds = [0.2 / 0.8, 0.3 / 0.7, 0.1 / 0.9]
    levels = -0.5 * (0.8 * math.log(3 / 4) + 1.2 * math.log(odds[1] / sum(odds)))
    loss = head.loss(outputs, torch.tensor([[0, 1]]))
    assert loss.item() == pytest.approx(scores + levels, rel=1e-5)


def test_the_original_profile_is_the_original_projects():
    config = configure(profile="original")
    assert (config.encoder_lr, config.classifier_lr) == (5.236e-5, 3.658e-4)
    assert (config.gamma_l, config.lambda_l, config.dropout) == (-0.3367, 0.7255, 0.475)
    assert (config.awx_norm, config.batch_size, config.eval_batch_size) == (5, 16, 64)


def test_a_model_makes_its_head_for_its_taxonomy():
    head = DBBHCNAWX(TREE, configure(awx_norm=2)).make_head(7)
    assert isinstance(head, AWXHead) and head.norm == 2 and head.width == 7
