"""HMCN-F by hand, and against the formula written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from ktt_core.config import build_config
from ktt_core.errors import InvalidConfigError
from ktt_core.taxonomy import Taxonomy
from ktt_models.db_ahmcnf.db_ahmcnf import DBAHMCNF, AHMCNFHead, AHMCNFOutputs, DBAHMCNFConfig

TREE = Taxonomy.from_paths([("A", "x"), ("A", "y"), ("B", "z")])


def configure(**values: Any) -> DBAHMCNFConfig:
    return build_config(DBAHMCNFConfig, "db_ahmcnf", values)


def make_head(taxonomy: Taxonomy = TREE, **overrides) -> AHMCNFHead:
    sizes = {"global_hidden_sizes": 6, "local_hidden_sizes": 5}
    return AHMCNFHead(3, taxonomy, configure(**{**sizes, **overrides}))


def naive_loss(head: AHMCNFHead, outputs: AHMCNFOutputs, codes: Tensor) -> Tensor:
    """Return the loss term by term."""
    taxonomy = head.taxonomy
    offsets = taxonomy.level_offsets.tolist()
    Y = torch.zeros_like(outputs.global_logits)
    for row, path in enumerate(codes.tolist()):
        for level, code in enumerate(path):
            Y[row, offsets[level] + code] = 1.0
    P_G, P_L = outputs.global_logits.sigmoid(), outputs.local_logits.sigmoid()
    total = functional.binary_cross_entropy(P_G, Y)
    for level in range(taxonomy.depth):
        at = slice(offsets[level], offsets[level + 1])
        total = total + functional.binary_cross_entropy(P_L[:, at], Y[:, at])
    P_F = head.beta * P_G + (1 - head.beta) * P_L
    for level in range(1, taxonomy.depth):
        for code, parent in enumerate(taxonomy.parent_of[level].tolist()):
            above = P_F[:, offsets[level - 1] + parent]
            excess = (P_F[:, offsets[level] + code] - above).clamp(min=0.0)
            total = total + head.lambda_h * (excess**2).mean()
    return total


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=15),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.integers(0, 2**31),
)
def test_its_loss_and_gradients_are_those_of_the_formula(paths, beta, seed):
    taxonomy = Taxonomy.from_paths(paths)
    head = make_head(taxonomy, dropout=0.0, lambda_h=2.0, global_weight=beta).double()
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(4, 3, dtype=torch.float64, generator=generator, requires_grad=True)
    leaves = torch.randint(taxonomy.n_leaves, (4,), generator=generator)
    codes = torch.as_tensor(taxonomy.leaf_codes)[leaves].long()
    outputs = head(features)
    mine, theirs = head.loss(outputs, codes), naive_loss(head, outputs, codes)
    torch.testing.assert_close(mine, theirs)
    (gradient,) = torch.autograd.grad(mine, features, retain_graph=True)
    (expected,) = torch.autograd.grad(theirs, features)
    torch.testing.assert_close(gradient, expected)
    (scores,) = head.level_scores(outputs)
    final = beta * outputs.global_logits.sigmoid() + (1 - beta) * outputs.local_logits.sigmoid()
    torch.testing.assert_close(scores, torch.logit(final[:, -taxonomy.n_leaves :]))


def test_its_loss_by_hand():
    head = make_head(global_weight=0.5, lambda_h=10.0)
    global_p = torch.tensor([[0.4, 0.2, 0.6, 0.5, 0.1]])
    local_p = torch.tensor([[0.6, 0.2, 0.8, 0.5, 0.1]])
    outputs = AHMCNFOutputs(torch.logit(global_p), torch.logit(local_p))
    # The row is A, x. Of the final scores A .5, B .2, x .7, y .5, z .1, x is above its parent.
    global_part = -sum(map(math.log, (0.4, 0.8, 0.6, 0.5, 0.9))) / 5
    local_part = -sum(map(math.log, (0.6, 0.8))) / 2 - sum(map(math.log, (0.8, 0.5, 0.9))) / 3
    loss = head.loss(outputs, torch.tensor([[0, 0]]))
    assert loss.item() == pytest.approx(global_part + local_part + 10.0 * 0.2**2, rel=1e-5)


def test_the_flows_go_as_in_the_paper():
    head = make_head(dropout=0.0).double()
    x = torch.randn(2, 3, dtype=torch.float64)

    def hidden(name: str, inputs: Tensor) -> Tensor:
        linear, norm = (head.get_submodule(f"{name}.{part}") for part in (0, 1))
        return torch.relu(norm(linear(inputs)))

    g1 = hidden("global_layers.0", x)
    g2 = hidden("global_layers.1", torch.cat([g1, x], dim=1))
    outputs = head(x)
    torch.testing.assert_close(outputs.global_logits, head.global_output(torch.cat([g2, x], dim=1)))
    local = []
    for level, g in enumerate((g1, g2)):
        local.append(head.local_outputs[level](hidden(f"local_layers.{level}", g)))
    torch.testing.assert_close(outputs.local_logits, torch.cat(local, dim=1))


@pytest.mark.parametrize(
    ("sizes", "expected"), [(7, [7, 7, 7]), ([7, 5], [7, 5, 5]), ([7, 5, 3], [7, 5, 3])]
)
def test_sizes_are_one_a_level_and_the_last_one_repeats(sizes, expected):
    taxonomy = Taxonomy.from_paths([("a", "b", "c"), ("a", "b", "d")])
    head = make_head(taxonomy, global_hidden_sizes=sizes, local_hidden_sizes=sizes)
    weights = head.state_dict()
    for flow in ("global", "local"):
        found = [len(weights[f"{flow}_layers.{level}.0.weight"]) for level in range(3)]
        assert found == expected


def test_more_sizes_than_levels_are_refused():
    with pytest.raises(InvalidConfigError, match="local_hidden_sizes has 3 .* 2 levels"):
        make_head(local_hidden_sizes=[4, 4, 4])


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("logit", [-100.0, 100.0])
def test_saturated_scores_have_a_finite_loss_gradient_and_log_odds(beta, logit):
    head = make_head(global_weight=beta)
    outputs = AHMCNFOutputs(*(torch.full((2, 5), logit, requires_grad=True) for _ in range(2)))
    loss = head.loss(outputs, torch.tensor([[0, 0], [1, 2]]))
    gradients = torch.autograd.grad(loss, outputs, allow_unused=True, materialize_grads=True)
    assert loss.isfinite() and all(gradient.isfinite().all() for gradient in gradients)
    (scores,) = head.level_scores(outputs)
    assert scores.flatten().tolist() == pytest.approx([logit] * 6)


def test_both_flows_start_at_the_classes_frequencies():
    head = make_head()
    head.init_from_counts([torch.tensor([3, 1]), torch.tensor([2, 1, 1])])
    expected = torch.tensor([0.75, 0.25, 0.5, 0.25, 0.25])
    torch.testing.assert_close(head.global_output.bias.sigmoid(), expected)
    local = torch.cat([output.get_parameter("bias") for output in head.local_outputs])
    torch.testing.assert_close(local.sigmoid(), expected)


def test_the_original_profile_is_the_original_projects():
    config = configure(profile="original")
    assert (config.classifier_lr, config.lambda_h, config.dropout) == (1e-3, 0.05, 0.25)
    assert (config.global_hidden_sizes, config.local_hidden_sizes) == (384, 384)
    assert not config.prior_bias
    assert (config.global_weight, config.batch_size, config.eval_batch_size) == (0.5, 4, 4)


def test_its_encoder_is_frozen_unless_told_otherwise():
    assert configure().freeze_encoder and configure(profile="original").freeze_encoder


def test_a_model_makes_its_head_for_its_taxonomy():
    head = DBAHMCNF(TREE, configure(global_hidden_sizes=[8, 4])).make_head(7)
    assert isinstance(head, AHMCNFHead)
    assert head.global_output.weight.shape == (5, 4 + 7)
