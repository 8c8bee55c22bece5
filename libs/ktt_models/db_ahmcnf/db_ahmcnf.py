"""HMCN-F on a frozen encoder: a global flow through the levels, and a local one out of each.

Adapted from Wehrmann, Cerri and Barros, "Hierarchical Multi-Label Classification Networks", ICML
2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ktt_core.config import ModelConfig
from ktt_core.errors import InvalidConfigError
from ktt_core.taxonomy import Taxonomy
from ktt_models.db_ahmcnf.config import DBAHMCNFConfig
from ktt_models.pytorch.balancing import Balance, log_odds
from ktt_models.pytorch.head import Head
from ktt_models.pytorch.hierarchy import Hierarchy
from ktt_models.pytorch.model import PyTorchModel

__all__ = ["AHMCNFHead", "AHMCNFOutputs", "DBAHMCNF", "DBAHMCNFConfig"]


class AHMCNFOutputs(NamedTuple):
    """Logits of both flows, shape (n, C) each."""

    global_logits: Tensor
    local_logits: Tensor


class AHMCNFHead(Head):
    """HMCN-F's two flows.

    ``g^1 = phi(LN(W_g^1 x))``, ``g^h = phi(LN(W_g^h [dropout(g^{h-1}) ++ x]))`` and
    ``P_G = sigmoid(W_G [dropout(g^D) ++ x])``; ``t^h = phi(LN(W_t^h g^h))`` and
    ``P_L^h = sigmoid(W_l^h dropout(t^h))``; ``P_F = beta P_G + (1 - beta) P_L``.

    ``loss = BCE(P_G, Y) + sum_h BCE(P_L^h, Y^h) + lambda_h sum_c max(0, P_F[c] - P_F[pa(c)])^2``.
    """

    def __init__(self, width: int, taxonomy: Taxonomy, config: DBAHMCNFConfig) -> None:
        super().__init__(width, taxonomy)
        self.beta = config.global_weight
        self.lambda_h = config.lambda_h
        self.prior_bias = config.prior_bias
        self.hierarchy = Hierarchy(taxonomy)
        self.dropout = nn.Dropout(config.dropout)
        self.balance = Balance(taxonomy, config.class_weight, config.logit_adjustment)
        wide = _per_level(config.global_hidden_sizes, taxonomy.depth, "global_hidden_sizes")
        narrow = _per_level(config.local_hidden_sizes, taxonomy.depth, "local_hidden_sizes")
        phi = {"relu": nn.ReLU, "tanh": nn.Tanh}[config.nonlinear]

        def hidden(n_in: int, n_out: int) -> nn.Module:
            return nn.Sequential(nn.Linear(n_in, n_out), nn.LayerNorm(n_out), phi())

        above = [0, *wide[:-1]]
        self.global_layers = nn.ModuleList(
            hidden(size_above + width, size) for size_above, size in zip(above, wide, strict=True)
        )
        self.global_output = nn.Linear(wide[-1] + width, taxonomy.n_classes)
        self.local_layers = nn.ModuleList(map(hidden, wide, narrow))
        self.local_outputs = nn.ModuleList(map(nn.Linear, narrow, self.hierarchy.level_sizes))

    def init_from_counts(self, counts: Sequence[Tensor]) -> None:
        """Initialise biases, weights and shifts from the classes' frequencies, as configured."""
        self.balance.init_from_counts(counts)
        if self.prior_bias:
            start = log_odds(counts)
            outputs = [self.global_output, *self.local_outputs]
            for output, bias in zip(
                outputs, [start, *self.hierarchy.split(start[None])], strict=True
            ):
                output.get_parameter("bias").data.copy_(bias.flatten())

    def forward(self, features: Tensor) -> AHMCNFOutputs:
        """Return the logits of both flows."""
        flow = [self.global_layers[0](features)]
        for layer in self.global_layers[1:]:
            flow.append(layer(torch.cat([self.dropout(flow[-1]), features], dim=1)))
        last = torch.cat([self.dropout(flow[-1]), features], dim=1)
        local = [
            output(self.dropout(layer(state)))
            for output, layer, state in zip(
                self.local_outputs, self.local_layers, flow, strict=True
            )
        ]
        return AHMCNFOutputs(self.global_output(last), torch.cat(local, dim=1))

    def loss(self, outputs: AHMCNFOutputs, codes: Tensor) -> Tensor:
        """Return both flows' binary cross-entropies and the hierarchical penalty."""
        Y = self.hierarchy.ancestor_sets(codes, outputs.global_logits.dtype)
        balance, bce = self.balance, functional.binary_cross_entropy_with_logits
        all_classes = bce(balance.adjust(outputs.global_logits), Y, reduction="none")
        by_level = bce(balance.adjust(outputs.local_logits), Y, reduction="none")
        total = balance.mean(all_classes, codes)
        for level, losses in enumerate(self.hierarchy.split(by_level)):
            total = total + balance.level_mean(losses, codes[:, level], level)
        final = torch.lerp(
            outputs.local_logits.sigmoid(), outputs.global_logits.sigmoid(), self.beta
        )
        above = final.index_select(1, self.hierarchy.parent)
        return total + self.lambda_h * (final - above).relu().square().sum(dim=1).mean()

    def level_scores(self, outputs: AHMCNFOutputs) -> list[Tensor]:
        """Return the leaves' log-odds, ln P_F / (1 - P_F).

        For independent leaves of which exactly one is true, probabilities are proportional to the
        odds. Sums of ``ln P_F`` over the levels are as accurate, but badly calibrated.
        """
        at_leaves = [self.hierarchy.split(logits)[-1] for logits in outputs]
        # 1 - sigmoid(z) = sigmoid(-z)
        return [self._log_final(*at_leaves) - self._log_final(*(-logits for logits in at_leaves))]

    def _log_final(self, global_logits: Tensor, local_logits: Tensor) -> Tensor:
        """Return the logarithm of both sigmoids' weighted mean, finite if it underflows."""
        log_global = -functional.softplus(-global_logits)
        log_local = -functional.softplus(-local_logits)
        if self.beta in (0.0, 1.0):
            return log_global if self.beta else log_local
        log_global = log_global + math.log(self.beta)
        log_local = log_local + math.log1p(-self.beta)
        # ln(e^a + e^b) = max(a, b) + softplus(-|a - b|)
        return torch.maximum(log_global, log_local) + functional.softplus(
            -(log_global - log_local).abs()
        )


def _per_level(sizes: int | list[int], depth: int, name: str) -> list[int]:
    """Return one size per level, from a number for all or a list whose last entry repeats."""
    given = [sizes] if isinstance(sizes, int) else sizes
    if len(given) > depth:
        raise InvalidConfigError(
            f"{name} has {len(given)} numbers, but the taxonomy has {depth} levels"
        )
    return given + given[-1:] * (depth - len(given))


class DBAHMCNF(PyTorchModel):
    """HMCN-F on a frozen encoder."""

    model_id: ClassVar[str] = "db_ahmcnf"
    config_class: ClassVar[type[ModelConfig]] = DBAHMCNFConfig
    config: DBAHMCNFConfig

    def make_head(self, width: int) -> Head:
        """Return a new head for features of this width."""
        return AHMCNFHead(width, self.taxonomy, self.config)
