"""The flow of BHCN: one linear layer a level, each seeing the level above and the text."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["BranchingFlow", "level_weights", "nonlinearity"]


def nonlinearity(name: Literal["relu", "tanh"]) -> nn.Module:
    """Return phi by its name."""
    return {"relu": nn.ReLU, "tanh": nn.Tanh}[name]()


def level_weights(gamma: float, depth: int) -> list[float]:
    """Return ``w = 1 - linspace(-gamma, gamma, depth)``, and 1 for a single level."""
    if depth == 1:
        return [1.0]
    return (1.0 - torch.linspace(-gamma, gamma, depth, dtype=torch.float64)).tolist()


class BranchingFlow(nn.Module):
    """Logits level by level.

    ``z^1 = W^1 dropout(x) + b^1`` and, for h > 1,
    ``z^h = W^h [dropout(LayerNorm(phi(z^{h-1}))) ++ x] + b^h``, LayerNorm without affine.

    Parameters
    ----------
    width : int
        Features per text, d.
    level_sizes : list of int
        Classes per level, n_h.
    dropout : float
    nonlinear : {"relu", "tanh"}
        phi.
    """

    def __init__(
        self,
        width: int,
        level_sizes: list[int],
        dropout: float,
        nonlinear: Literal["relu", "tanh"],
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.phi = nonlinearity(nonlinear)
        above = [0, *level_sizes[:-1]]
        layers = [nn.Linear(n + width, size) for n, size in zip(above, level_sizes, strict=True)]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleList(
            nn.LayerNorm(size, elementwise_affine=False) for size in level_sizes[:-1]
        )

    def start_last_bias(self, value: float) -> None:
        """Set the bias of the last level's logits."""
        nn.init.constant_(self.layers[-1].get_parameter("bias"), value)

    def forward(self, features: Tensor) -> list[Tensor]:
        """Return z^h of every level, shape (n, n_h)."""
        logits = [self.layers[0](self.dropout(features))]
        for norm, layer in zip(self.norms, self.layers[1:], strict=True):
            above = self.dropout(norm(self.phi(logits[-1])))
            logits.append(layer(torch.cat([above, features], dim=1)))
        return logits
