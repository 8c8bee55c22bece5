"""Branching Hierarchical Classification Network: softmaxes with a penalty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ktt_core.config import ModelConfig
from ktt_core.taxonomy import Taxonomy
from ktt_models.db_bhcn.config import DBBHCNConfig
from ktt_models.db_bhcn.flow import BranchingFlow, level_weights
from ktt_models.pytorch.balancing import Balance
from ktt_models.pytorch.head import Head
from ktt_models.pytorch.hierarchy import Hierarchy
from ktt_models.pytorch.model import PyTorchModel

__all__ = ["BHCNHead", "DBBHCN", "DBBHCNConfig", "target_trust"]


class BHCNHead(Head):
    """BHCN's flow, a log-softmax per level, and a penalty on levels that disagree.

    ``loss = lambda_l sum_h w_h NLL(P^h, y_h)
    + lambda_h sum_{h<D} mean_b[ f_b NLL(P^h, pa(argmax P^{h+1})) ]``.
    """

    def __init__(self, width: int, taxonomy: Taxonomy, config: DBBHCNConfig) -> None:
        super().__init__(width, taxonomy)
        self.hierarchy = Hierarchy(taxonomy)
        self.flow = BranchingFlow(
            width, self.hierarchy.level_sizes, config.dropout, config.nonlinear
        )
        self.balance = Balance(taxonomy, config.class_weight, config.logit_adjustment)
        self.lambda_l = config.lambda_l
        self.weights = level_weights(config.gamma_l, taxonomy.depth)
        self.lambda_h = config.lambda_h

    def init_from_counts(self, counts: Sequence[Tensor]) -> None:
        """Set class weights and shifts from the counts, as configured."""
        self.balance.init_from_counts(counts)

    def forward(self, features: Tensor) -> list[Tensor]:
        """Return the logits z^h of every level, shape (n, n_h)."""
        return self.flow(features)  # type: ignore[no-any-return]

    def loss(self, outputs: list[Tensor], codes: Tensor) -> Tensor:
        """Return the levels' losses and the hierarchical penalty."""
        total = outputs[0].new_zeros(())
        for level, logits in enumerate(outputs):
            loss = self.balance.cross_entropy(logits, codes[:, level], level)
            total = total + self.lambda_l * self.weights[level] * loss
        parent_of = self.hierarchy.parent_of
        for level in range(len(outputs) - 1):
            below = outputs[level + 1]
            expected = parent_of[level + 1][below.argmax(dim=1)]
            penalty = functional.cross_entropy(outputs[level], expected, reduction="none")
            factor = target_trust(below, codes[:, level + 1])
            total = total + self.lambda_h * (factor * penalty).mean()
        return total

    def level_scores(self, outputs: list[Tensor]) -> list[Tensor]:
        """Return P^h of every level: log-probabilities."""
        return [logits.log_softmax(dim=1) for logits in outputs]


@torch.no_grad()
def target_trust(logits: Tensor, codes: Tensor) -> Tensor:
    """Return f_b in [0, 1], shape (n,): 1 where the true child is the most probable of its level.

    That is 1 less the value at the true child of -P, min-max scaled over the level's classes. A
    logit differs from P by the same for all of them, so its scaling is the same. A weight, not a
    term: no gradient flows through it, which would lower the true child's score.
    """
    lowest, highest = logits.aminmax(dim=1)
    true = logits.gather(1, codes[:, None])[:, 0]
    span = highest - lowest
    # All equal, or one class: the true child is among the most probable.
    return torch.where(span > 0, (true - lowest) / torch.where(span > 0, span, 1.0), 1.0)


class DBBHCN(PyTorchModel):
    """Branching Hierarchical Classification Network."""

    model_id: ClassVar[str] = "db_bhcn"
    config_class: ClassVar[type[ModelConfig]] = DBBHCNConfig
    config: DBBHCNConfig

    def make_head(self, width: int) -> Head:
        """Return a new head for features of this width."""
        return BHCNHead(width, self.taxonomy, self.config)
