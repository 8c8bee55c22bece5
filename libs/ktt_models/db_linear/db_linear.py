"""A transformer encoder and one linear layer over the leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from ktt_core.config import ModelConfig
from ktt_core.taxonomy import Taxonomy
from ktt_models.db_linear.config import DBLinearConfig
from ktt_models.pytorch.balancing import Balance
from ktt_models.pytorch.head import Head
from ktt_models.pytorch.model import PyTorchModel

__all__ = ["DBLinear", "DBLinearConfig", "LinearHead"]


class LinearHead(Head):
    """``W dropout(x) + b`` over the leaves, trained by cross-entropy."""

    def __init__(self, width: int, taxonomy: Taxonomy, config: DBLinearConfig) -> None:
        super().__init__(width, taxonomy)
        self.dropout = nn.Dropout(config.dropout)
        self.linear = nn.Linear(width, taxonomy.n_leaves)
        self.balance = Balance(taxonomy, config.class_weight, config.logit_adjustment)

    def init_from_counts(self, counts: Sequence[Tensor]) -> None:
        """Set class weights and shifts from the counts, as configured."""
        self.balance.init_from_counts(counts)

    def forward(self, features: Tensor) -> Tensor:
        """Return the leaves' logits, shape (n, n_leaves)."""
        return self.linear(self.dropout(features))  # type: ignore[no-any-return]

    def loss(self, outputs: Tensor, codes: Tensor) -> Tensor:
        """Return the cross-entropy of the leaves."""
        return self.balance.cross_entropy(outputs, codes[:, -1], self.taxonomy.depth - 1)

    def level_scores(self, outputs: Tensor) -> list[Tensor]:
        """Return ln p(leaf); an upper class's probability is the sum over the leaves below it."""
        return [outputs.log_softmax(dim=1)]


class DBLinear(PyTorchModel):
    """An encoder and one linear layer over the leaves, the simplest of the encoder models."""

    model_id: ClassVar[str] = "db_linear"
    config_class: ClassVar[type[ModelConfig]] = DBLinearConfig
    config: DBLinearConfig

    def make_head(self, width: int) -> Head:
        """Return a new head for features of this width."""
        return LinearHead(width, self.taxonomy, self.config)
