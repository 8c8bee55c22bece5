"""Reference implementation of the heads' constraints, with a dense matrix of classes.

As in the papers and their code: quadratic in the classes in time and memory, and inaccurate for
saturated scores. Used by tests and ``benchmarks/heads`` only.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ktt_core.taxonomy import Taxonomy

__all__ = ["awx", "awx_loss", "descendants", "leaves_below", "mcloss", "mcm"]


def descendants(taxonomy: Taxonomy) -> Tensor:
    """Return which class is another or below it: bool, shape (C, C), ``[i, j]``: j below i."""
    return torch.as_tensor(taxonomy.ancestor_matrix().T.copy())


def leaves_below(taxonomy: Taxonomy) -> Tensor:
    """Return which leaf is a class or below it: bool, shape (C, n_leaves)."""
    return torch.as_tensor(taxonomy.leaf_matrix().T.copy())


def mcm(h: Tensor, below: Tensor) -> Tensor:
    """Return the max constraint module's scores; h in [0, 1], (n, C), and `descendants`."""
    expanded = h[:, None, :].expand(-1, h.shape[1], -1)
    return (expanded * below).max(dim=2).values


def mcloss(h: Tensor, Y: Tensor, below: Tensor) -> Tensor:
    """Return MCLoss (Giunchiglia and Lukasiewicz, 2020, equation 5): a mean over (n, C)."""
    # Selected before the logarithm: 0 * ln(0) is NaN.
    return -torch.where(Y > 0, mcm(h * Y, below), 1 - mcm(h, below)).log().mean()


def awx(s: Tensor, below: Tensor, norm: int) -> Tensor:
    """Return AWX's scores (Masera and Blanzieri, 2018) of all classes.

    Parameters
    ----------
    s : Tensor, shape (n, n_leaves)
        Sigmoid scores of the leaves.
    below : Tensor, shape (C, n_leaves)
        `leaves_below`.
    norm : int
        n; 0 for the maximum.
    """
    expanded = s[:, None, :] * below
    if norm == 0:
        return expanded.max(dim=2).values
    return expanded.pow(norm).sum(dim=2).clamp(max=1.0).pow(1.0 / norm)


def awx_loss(s: Tensor, Y: Tensor, below: Tensor, norm: int, eps: float) -> Tensor:
    """Return the binary cross-entropy of AWX's scores: a mean over (n, C)."""
    a = awx(s, below, norm)
    return -torch.where(Y > 0, a, (1 - a).clamp(min=eps)).log().mean()
