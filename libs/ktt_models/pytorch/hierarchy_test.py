"""Sums and maxima up the tree against a matrix of classes by classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.dense_reference import descendants, leaves_below
from ktt_models.pytorch.hierarchy import Hierarchy

#: Level 0: Bikes, Food; 1: hidden, Bread, Pasta; 2: hidden, hidden, Long, Short.
FOREST = Taxonomy.from_paths(
    [("Food", "Pasta", "Long"), ("Food", "Pasta", "Short"), ("Food", "Bread"), ("Bikes",)]
)


@st.composite
def scored_forests(draw: st.DrawFn) -> tuple[Taxonomy, int, torch.Generator]:
    """Draw a ragged forest of 1 to 6 levels, a number of rows and a source of scores."""
    path = st.lists(st.sampled_from("abc"), min_size=1, max_size=6)
    taxonomy = Taxonomy.from_paths(draw(st.lists(path, min_size=1, max_size=20)))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return taxonomy, draw(st.integers(1, 4)), generator


def random_scores(rows: int, width: int, scale: float, generator: torch.Generator) -> Tensor:
    scores = scale * torch.randn(rows, width, dtype=torch.float64, generator=generator)
    return scores.requires_grad_()


def naive_max(scores: Tensor, below: Tensor) -> Tensor:
    return scores[:, None, :].masked_fill(~below, -torch.inf).max(dim=2).values


def naive_logsumexp(leaves: Tensor, below: Tensor) -> Tensor:
    return leaves[:, None, :].masked_fill(~below, -torch.inf).logsumexp(dim=2)


def test_indices_are_those_of_the_taxonomy():
    hierarchy = Hierarchy(FOREST)
    assert hierarchy.level_sizes == [2, 3, 4]
    assert hierarchy.parent.tolist() == [0, 1, 0, 1, 1, 2, 3, 4, 4]
    assert [level.tolist() for level in hierarchy.parent_of] == [[0, 1], [0, 1, 1], [0, 1, 2, 2]]
    codes = torch.tensor([FOREST.encode(["Food", "Pasta", "Short"]), FOREST.encode(["Bikes"])])
    assert hierarchy.along_path(codes).tolist() == [[1, 4, 8], [0, 2, 5]]
    assert hierarchy.ancestor_sets(codes).tolist() == [
        [0, 1, 0, 0, 1, 0, 0, 0, 1],
        # The hidden classes that pad a path are in its set.
        [1, 0, 1, 0, 0, 1, 0, 0, 0],
    ]


def test_maxima_go_up_the_tree_and_their_gradients_come_back_down():
    scores = torch.tensor([[0.0, 1.0, 5.0, 2.0, 3.0, 4.0, 1.0, 9.0, 6.0]], requires_grad=True)
    maxima = Hierarchy(FOREST).subtree_max(scores)
    assert maxima.tolist() == [[5.0, 9.0, 5.0, 2.0, 9.0, 4.0, 1.0, 9.0, 6.0]]
    arriving = torch.tensor([[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]])
    (gradient,) = torch.autograd.grad(maxima, scores, arriving)
    assert gradient.tolist() == [[0.0, 0.0, 5.0, 8.0, 0.0, 32.0, 64.0, 146.0, 256.0]]


def test_a_maximum_that_several_hold_gives_each_an_equal_part_of_its_gradient():
    scores = torch.zeros(1, 9, requires_grad=True)
    (gradient,) = torch.autograd.grad(Hierarchy(FOREST).subtree_max(scores)[0, 1], scores)
    # Food shares with Bread and Pasta, and each of these two with what is below it.
    third = 1 / 3
    expected = [0, third, 0, third / 2, third / 3, 0, third / 2, third / 3, third / 3]
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-6)


def test_sums_go_up_the_tree():
    leaves = torch.tensor([[1.0, 2.0, 3.0, 4.0]]).log()
    sums = Hierarchy(FOREST).subtree_logsumexp(leaves).exp()
    np.testing.assert_allclose(sums, [[1, 9, 1, 2, 7, 1, 2, 3, 4]], rtol=1e-6)


@settings(deadline=None)
@given(scored_forests())
def test_maxima_and_their_gradients_are_those_of_the_naive_form(case):
    taxonomy, rows, generator = case
    scores = random_scores(rows, taxonomy.n_classes, 3.0, generator)
    weights = torch.randn(rows, taxonomy.n_classes, dtype=torch.float64, generator=generator)
    maxima = Hierarchy(taxonomy).subtree_max(scores)
    naive = naive_max(scores, descendants(taxonomy))
    assert torch.equal(maxima, naive)
    (mine,) = torch.autograd.grad((maxima * weights).sum(), scores)
    (theirs,) = torch.autograd.grad((naive * weights).sum(), scores)
    torch.testing.assert_close(mine, theirs)


@settings(deadline=None)
@given(scored_forests(), st.sampled_from([1.0, 1000.0]))
def test_sums_and_their_gradients_are_those_of_the_naive_form(case, scale):
    taxonomy, rows, generator = case
    leaves = random_scores(rows, taxonomy.n_leaves, scale, generator)
    weights = torch.randn(rows, taxonomy.n_classes, dtype=torch.float64, generator=generator)
    sums = Hierarchy(taxonomy).subtree_logsumexp(leaves)
    naive = naive_logsumexp(leaves, leaves_below(taxonomy))
    torch.testing.assert_close(sums, naive)
    (mine,) = torch.autograd.grad((sums * weights).sum(), leaves)
    (theirs,) = torch.autograd.grad((naive * weights).sum(), leaves)
    torch.testing.assert_close(mine, theirs)


@settings(deadline=None)
@given(scored_forests())
def test_a_parent_is_never_below_a_child(case):
    taxonomy, rows, generator = case
    hierarchy = Hierarchy(taxonomy)
    scores = random_scores(rows, taxonomy.n_classes, 100.0, generator).float()
    leaves = scores[:, -taxonomy.n_leaves :]
    for found in (hierarchy.subtree_max(scores), hierarchy.subtree_logsumexp(leaves)):
        assert (found[:, hierarchy.parent] >= found).all()


@pytest.mark.parametrize("reduction", ["subtree_max", "subtree_logsumexp"])
def test_nothing_as_large_as_classes_by_classes_is_kept(reduction):
    taxonomy = Taxonomy.from_paths((f"{leaf // 50}", f"{leaf}") for leaf in range(500))
    hierarchy = Hierarchy(taxonomy)
    width = taxonomy.n_classes if reduction == "subtree_max" else taxonomy.n_leaves
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        getattr(hierarchy, reduction)(torch.randn(3, width, requires_grad=True))
    assert 0 < sum(kept) <= 4 * 3 * taxonomy.n_classes


def test_its_buffers_move_with_it_and_are_in_no_checkpoint():
    hierarchy = Hierarchy(FOREST)
    assert not hierarchy.state_dict()
    assert hierarchy.to("meta").parent_of[2].device.type == "meta"
