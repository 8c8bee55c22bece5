"""A taxonomy as index tensors, and sums and maxima up the tree in time linear in the classes.

Scores of all classes are concatenated by level in one tensor of shape (n, C), see
`Taxonomy.level_offsets`. Hidden classes, which pad a path that ends early, are treated like any
other: as only children they are in a row's ancestor set whenever their parent is, and do not change
maxima and sums of their ancestors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ktt_core.taxonomy import Taxonomy

__all__ = ["Hierarchy"]


class Hierarchy(nn.Module):
    """Positions of a taxonomy's classes and their parents in a tensor of all classes' scores.

    Its buffers follow from the taxonomy, so they move with the module but are not in the state
    dict.

    Parameters
    ----------
    taxonomy : Taxonomy

    Attributes
    ----------
    level_sizes : list of int
        Classes per level, n_h.
    parent : Tensor of int64, shape (C,)
        Each class's parent among all classes; a class of the first level is its own.
    """

    offsets: Tensor
    parent: Tensor

    def __init__(self, taxonomy: Taxonomy) -> None:
        super().__init__()
        self.level_sizes: list[int] = taxonomy.level_sizes.tolist()
        offsets = torch.as_tensor(taxonomy.level_offsets[:-1], dtype=torch.int64)
        levels = [torch.as_tensor(level, dtype=torch.int64) for level in taxonomy.parent_of]
        starts = [0, 0, *offsets[1:-1].tolist()]
        parent = torch.cat([level + start for level, start in zip(levels, starts, strict=False)])
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("parent", parent, persistent=False)
        for level, parents in enumerate(levels):
            self.register_buffer(f"parent_of_{level}", parents, persistent=False)

    @property
    def parent_of(self) -> list[Tensor]:
        """Per level, shape (n_h,), each class's parent in the level above."""
        return [self.get_buffer(f"parent_of_{level}") for level in range(len(self.level_sizes))]

    def split(self, scores: Tensor) -> tuple[Tensor, ...]:
        """Return the levels of scores of shape (n, C), as views."""
        return scores.split(self.level_sizes, dim=1)

    def along_path(self, codes: Tensor) -> Tensor:
        """Return the positions among all classes of level-local paths; shape (n, depth)."""
        return codes + self.offsets

    def ancestor_sets(self, codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return Y of shape (n, C): 1 at the classes of a row's path, else 0."""
        empty = torch.zeros(len(codes), len(self.parent), dtype=dtype, device=codes.device)
        return empty.scatter(1, self.along_path(codes), 1.0)

    def subtree_max(self, scores: Tensor) -> Tensor:
        """Return every class's maximum over itself and its descendants, shape (n, C)."""
        return _SubtreeMax.apply(scores, self.level_sizes, self.parent_of)  # type: ignore[no-any-return]

    def subtree_logsumexp(self, leaves: Tensor) -> Tensor:
        """Return ln of the sum of exp over the leaves below every class, (n, n_leaves) -> (n, C).

        A leaf counts as below itself.
        """
        return _SubtreeLogSumExp.apply(leaves, self.parent_of)  # type: ignore[no-any-return]


class _SubtreeMax(torch.autograd.Function):
    """Bottom-up scatter-max.

    Works on class-major copies: a reduction over contiguous rows is several times faster than one
    over columns. No tensor of indices is kept for backward: the gradient of a class is passed to
    the descendants that equal its maximum, in equal parts.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, sizes: Sequence[int], parent_of: list[Tensor]) -> Tensor:
        levels = list(scores.t().split(list(sizes)))
        maxima = [levels[-1].contiguous()]
        for own, parents in zip(levels[-2::-1], parent_of[:0:-1], strict=True):
            below = maxima[-1]
            index = parents[:, None].expand_as(below)
            maxima.append(own.contiguous().scatter_reduce(0, index, below, "amax"))
        result = torch.cat(maxima[::-1])
        ctx.save_for_backward(scores, result, *parent_of)
        ctx.sizes = list(sizes)
        return result.t()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        scores, result, *parent_of = ctx.saved_tensors
        levels = list(
            zip(
                scores.t().split(ctx.sizes),
                result.split(ctx.sizes),
                gradients[0].t().split(ctx.sizes),
                strict=True,
            )
        )
        arriving = torch.zeros_like(levels[0][2])
        found = []
        for level, (own, maximum, gradient) in enumerate(levels):
            arriving = arriving + gradient
            holders = (own == maximum).to(own.dtype)
            if level + 1 == len(levels):
                found.append(arriving * holders)
                continue
            parents = parent_of[level + 1]
            below = levels[level + 1][1]
            held_below = (below == maximum.index_select(0, parents)).to(own.dtype)
            share = arriving / holders.index_add(0, parents, held_below)
            found.append(share * holders)
            arriving = share.index_select(0, parents) * held_below
        return torch.cat(found).t(), None, None


class _SubtreeLogSumExp(torch.autograd.Function):
    """Bottom-up log-sum-exp over leaves, each sum relative to its own greatest term."""

    @staticmethod
    def forward(ctx: Any, leaves: Tensor, parent_of: list[Tensor]) -> Tensor:
        sums = [leaves.t().contiguous()]
        for level in range(len(parent_of) - 1, 0, -1):
            below, parents = sums[-1], parent_of[level]
            n_parents = parent_of[level - 1].shape[0]
            index = parents[:, None].expand_as(below)
            empty = below.new_full((n_parents, below.shape[1]), -torch.inf)
            greatest = empty.scatter_reduce(0, index, below, "amax")
            terms = torch.exp(below - greatest.index_select(0, parents))
            total = torch.zeros_like(greatest).index_add(0, parents, terms)
            sums.append(total.log() + greatest)
        sums.reverse()
        result = torch.cat(sums)
        ctx.save_for_backward(result, *parent_of)
        return result.t()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        result, *parent_of = ctx.saved_tensors
        sizes = [parents.shape[0] for parents in parent_of]
        sums = result.split(sizes)
        levels = gradients[0].t().split(sizes)
        arriving = levels[0]
        for level in range(1, len(levels)):
            parents = parent_of[level]
            share = torch.exp(sums[level] - sums[level - 1].index_select(0, parents))
            arriving = levels[level] + share * arriving.index_select(0, parents)
        return arriving.t(), None
