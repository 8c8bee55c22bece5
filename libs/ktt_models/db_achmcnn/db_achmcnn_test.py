"""MCM and MCLoss by hand, and against the paper's formula."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ktt_core.config import build_config
from ktt_core.taxonomy import Taxonomy
from ktt_models.db_achmcnn.db_achmcnn import DBACHMCNN, ACHMCNNHead, DBACHMCNNConfig
from ktt_models.pytorch import dense_reference

#: Level 0: A, B; 1: x, y, z.
TREE = Taxonomy.from_paths([("A", "x"), ("A", "y"), ("B", "z")])

forests = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=15
).map(Taxonomy.from_paths)


def configure(**values: Any) -> DBACHMCNNConfig:
    return build_config(DBACHMCNNConfig, "db_achmcnn", values)


def make_head(taxonomy: Taxonomy = TREE, **overrides) -> ACHMCNNHead:
    return ACHMCNNHead(3, taxonomy, configure(**overrides))


def test_a_class_scores_the_greatest_of_itself_and_what_is_below():
    h = torch.tensor([[0.5, 0.2, 0.3, 0.6, 0.1]])
    scores = torch.cat(make_head().level_scores(torch.logit(h)), dim=1).exp()
    torch.testing.assert_close(scores, torch.tensor([[0.6, 0.2, 0.3, 0.6, 0.1]]))


def test_mcloss_by_hand():
    h = torch.tensor([[0.5, 0.2, 0.3, 0.6, 0.1]])
    # The row is A, x. A is above .6, but of its own path only .5 counts.
    expected = -sum(map(math.log, (0.5, 1 - 0.2, 0.3, 1 - 0.6, 1 - 0.1))) / 5
    loss = make_head().loss(torch.logit(h), torch.tensor([[0, 0]]))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


@settings(deadline=None)
@given(forests, st.integers(0, 2**31))
def test_mcloss_and_its_gradient_are_those_of_the_paper(taxonomy, seed):
    head = make_head(taxonomy)
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(4, taxonomy.n_classes, dtype=torch.float64, generator=generator)
    logits.requires_grad_()
    leaves = torch.randint(taxonomy.n_leaves, (4,), generator=generator)
    codes = torch.as_tensor(taxonomy.leaf_codes)[leaves].long()
    below = dense_reference.descendants(taxonomy)
    Y = head.hierarchy.ancestor_sets(codes).double()
    mine = head.loss(logits, codes)
    theirs = dense_reference.mcloss(logits.sigmoid(), Y, below)
    torch.testing.assert_close(mine, theirs)
    (gradient,) = torch.autograd.grad(mine, logits)
    (expected,) = torch.autograd.grad(theirs, logits)
    torch.testing.assert_close(gradient, expected)
    scores = torch.cat(head.level_scores(logits), dim=1)
    torch.testing.assert_close(scores.exp(), dense_reference.mcm(logits.sigmoid(), below))


@settings(deadline=None)
@given(forests, st.floats(0.1, 100.0), st.integers(0, 2**31))
def test_a_parent_never_scores_less_than_a_child(taxonomy, scale, seed):
    head = make_head(taxonomy)
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(3, taxonomy.n_classes, generator=generator)
    scores = torch.cat(head.level_scores(logits), dim=1)
    assert scores.isfinite().all() and (scores[:, head.hierarchy.parent] >= scores).all()


@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_saturated_scores_have_a_finite_loss_and_gradient(logit):
    logits = torch.full((2, 5), logit, requires_grad=True)
    loss = make_head().loss(logits, torch.tensor([[0, 0], [1, 2]]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite() and gradient.isfinite().all() and gradient.abs().max() > 0


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_network_has_as_many_layers_as_asked_for(count):
    head = make_head(h_layer_count=count, h_hidden_dim=8, h_dropout=0.3)
    linear = [layer for layer in head.net if isinstance(layer, nn.Linear)]
    sizes = [3] + [8] * (count - 1) + [5]
    assert [(layer.in_features, layer.out_features) for layer in linear] == list(
        zip(sizes[:-1], sizes[1:], strict=True)
    )
    dropped = [layer.p for layer in head.net if isinstance(layer, nn.Dropout)]
    assert dropped == [0.0] + [0.3] * (count - 1)


def test_classes_start_at_their_frequencies_unless_told_otherwise():
    counts = [torch.tensor([3, 1]), torch.tensor([2, 1, 1])]
    starting, halves = make_head(h_layer_count=1), make_head(h_layer_count=1, prior_bias=False)
    for head in (starting, halves):
        for weight in head.parameters():
            nn.init.zeros_(weight)
        head.init_from_counts(counts)
    torch.testing.assert_close(
        starting(torch.zeros(1, 3)).sigmoid(), torch.tensor([[0.75, 0.25, 0.5, 0.25, 0.25]])
    )
    assert (halves(torch.zeros(1, 3)).sigmoid() == 0.5).all()


def test_the_original_profile_is_the_original_projects():
    config = configure(profile="original")
    assert (config.encoder_lr, config.classifier_lr) == (2e-5, 5e-4)
    assert not config.prior_bias
    assert (config.h_dropout, config.h_nonlinear) == (0.7, "relu")
    assert (config.h_hidden_dim, config.h_layer_count) == (512, 3)
    assert (config.batch_size, config.eval_batch_size, config.dropout) == (16, 64, 0.0)


def test_a_model_makes_its_head_for_its_taxonomy():
    head = DBACHMCNN(TREE, configure(h_layer_count=1)).make_head(7)
    assert isinstance(head, ACHMCNNHead)
    assert [layer.weight.shape for layer in head.net if isinstance(layer, nn.Linear)] == [(5, 7)]
