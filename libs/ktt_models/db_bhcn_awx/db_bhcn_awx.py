"""BHCN with an Adjacency Wrapping matriX: upper classes score what the leaves below them do.

AWX is of Masera and Blanzieri, "AWX: An Integrated Approach to Hierarchical-Multilabel
Classification", ECML PKDD 2018.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ktt_core.config import ModelConfig
from ktt_core.taxonomy import Taxonomy
from ktt_models.db_bhcn.flow import BranchingFlow, level_weights
from ktt_models.db_bhcn_awx.config import DBBHCNAWXConfig
from ktt_models.pytorch.balancing import Balance
from ktt_models.pytorch.head import Head
from ktt_models.pytorch.hierarchy import Hierarchy
from ktt_models.pytorch.model import PyTorchModel

__all__ = ["AWXHead", "DBBHCNAWX", "DBBHCNAWXConfig"]

# Minimum distance of ln(a) from 0 in ln(1 - a).
_EPS = 1e-6


class AWXHead(Head):
    """BHCN's flow, whose final scores come from the leaves alone.

    With s = sigmoid(z^D), ``a_i = (min(1, sum over the leaves l below i of s_l^n))^(1/n)``: a
    parent never scores less than a child. ``loss = BCE(a, Y) + lambda_l sum_h w_h NLL(P^h, y_h)``.
    """

    def __init__(self, width: int, taxonomy: Taxonomy, config: DBBHCNAWXConfig) -> None:
        super().__init__(width, taxonomy)
        self.norm = config.awx_norm
        self.hierarchy = Hierarchy(taxonomy)
        self.flow = BranchingFlow(
            width, self.hierarchy.level_sizes, config.dropout, config.nonlinear
        )
        self.balance = Balance(taxonomy, config.class_weight, config.logit_adjustment)
        self.lambda_l = config.lambda_l
        self.weights = level_weights(config.gamma_l, taxonomy.depth)
        self.flow.start_last_bias(self.start_bias)

    @property
    def start_bias(self) -> float:
        """The bias of z^D at which the sum of s^n of the class with the most leaves is 1/2.

        Without it, a class over many leaves starts clipped at 1 and has no gradient.
        """
        if self.norm == 0:
            return 0.0
        fullest = max(int(np.diff(ranges).max()) for ranges in self.taxonomy.leaf_ranges)
        score = (0.5 / fullest) ** (1.0 / self.norm)
        return math.log(score / (1.0 - score))

    def init_from_counts(self, counts: Sequence[Tensor]) -> None:
        """Set class weights and shifts from the counts, as configured."""
        self.balance.init_from_counts(counts)

    def forward(self, features: Tensor) -> list[Tensor]:
        """Return the logits z^h of every level, shape (n, n_h)."""
        return self.flow(features)  # type: ignore[no-any-return]

    def log_awx(self, leaf_logits: Tensor) -> Tensor:
        """Return ln a of every class, at most 0: shape (n, n_leaves) -> (n, C)."""
        log_s = -functional.softplus(-leaf_logits)
        if self.norm == 0:
            no_class = torch.full_like(log_s[:, :1], -torch.inf)
            upper = len(self.hierarchy.parent) - log_s.shape[1]
            padded = torch.cat([no_class.expand(-1, upper), log_s], dim=1)
            return self.hierarchy.subtree_max(padded)
        return (self.hierarchy.subtree_logsumexp(self.norm * log_s) / self.norm).clamp(max=0.0)

    def scores_loss(self, leaf_logits: Tensor, codes: Tensor) -> Tensor:
        """Return BCE(a, Y), its mean over rows and classes."""
        log_a = self.log_awx(leaf_logits)
        log_not_a = torch.log(-torch.expm1(log_a.clamp(max=-_EPS)))
        path = self.hierarchy.along_path(codes)
        # Y selects ln a on the path and ln(1 - a) elsewhere.
        return -self.balance.mean(log_not_a.scatter(1, path, log_a.gather(1, path)), codes)

    def loss(self, outputs: list[Tensor], codes: Tensor) -> Tensor:
        """Return the scores' binary cross-entropy and the levels' losses."""
        last = len(outputs) - 1
        total = self.scores_loss(self.balance.adjust(outputs[last], last), codes)
        for level, logits in enumerate(outputs):
            loss = self.balance.cross_entropy(logits, codes[:, level], level)
            total = total + self.lambda_l * self.weights[level] * loss
        return total

    def level_scores(self, outputs: list[Tensor]) -> list[Tensor]:
        """Return the leaves' log-odds, ln s / (1 - s), which is z^D.

        For independent leaves of which exactly one is true, probabilities are proportional to the
        odds. Sums of ``ln a`` over a path are as accurate, but badly calibrated: they hardly
        distinguish sigmoids near 1.
        """
        return [outputs[-1]]


class DBBHCNAWX(PyTorchModel):
    """BHCN with an Adjacency Wrapping matriX."""

    model_id: ClassVar[str] = "db_bhcn_awx"
    config_class: ClassVar[type[ModelConfig]] = DBBHCNAWXConfig
    config: DBBHCNAWXConfig

    def make_head(self, width: int) -> Head:
        """Return a new head for features of this width."""
        return AWXHead(width, self.taxonomy, self.config)
