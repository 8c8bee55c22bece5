"""C-HMCNN: a network over all classes, whose scores a maximum over each subtree constrains.

Adapted from Giunchiglia and Lukasiewicz, "Coherent Hierarchical Multi-Label Classification
Networks", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ktt_core.config import ModelConfig
from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.balancing import Balance, log_odds
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.head import Head
from ktt_models.pytorch.hierarchy import Hierarchy
from ktt_models.pytorch.model import PyTorchModel

__all__ = ["ACHMCNNHead", "DBACHMCNN", "DBACHMCNNConfig"]


class DBACHMCNNConfig(EncoderConfig):
    """Hyperparameters of `DBACHMCNN`."""

    original: ClassVar[dict[str, Any]] = {
        **EncoderConfig.original,
        "encoder_lr": 2e-5,
        "classifier_lr": 5e-4,
        "dropout": 0.0,
        "h_dropout": 0.7,
        "h_nonlinear": "relu",
        "h_hidden_dim": 512,
        "h_layer_count": 3,
        "prior_bias": False,
        "batch_size": 16,
        "eval_batch_size": 64,
    }

    dropout: float = Field(
        0.0, ge=0.0, lt=1.0, description="Share of the features left out at a step, at random."
    )
    h_layer_count: int = Field(
        2, ge=1, le=64, description="Layers of the network; 1: a single linear layer."
    )
    h_hidden_dim: int = Field(1024, ge=1, le=65_536, description="Width of its hidden layers.")
    h_nonlinear: Literal["relu", "tanh"] = Field("relu", description="What ends a hidden layer.")
    h_dropout: float = Field(
        0.3, ge=0.0, lt=1.0, description="Share of a hidden layer left out at a step, at random."
    )
    prior_bias: bool = Field(
        True, description="Start every class's score at its frequency in training, not at a half."
    )


class ACHMCNNHead(Head):
    """A feed-forward net h over all C classes, under the max constraint module.

    ``MCM_c = max over c and its descendants of h``. MCLoss is, per class, ``-Y_c ln(max over c' in
    {c and its descendants} of h_c' Y_c') - (1 - Y_c) ln(1 - MCM_c)``, its mean taken over rows and
    classes.
    """

    def __init__(self, width: int, taxonomy: Taxonomy, config: DBACHMCNNConfig) -> None:
        super().__init__(width, taxonomy)
        self.hierarchy = Hierarchy(taxonomy)
        self.balance = Balance(taxonomy, config.class_weight, config.logit_adjustment)
        self.prior_bias = config.prior_bias
        phi = {"relu": nn.ReLU, "tanh": nn.Tanh}[config.h_nonlinear]
        layers: list[nn.Module] = [nn.Dropout(config.dropout)]
        size = width
        for _ in range(config.h_layer_count - 1):
            layers += [nn.Linear(size, config.h_hidden_dim), phi(), nn.Dropout(config.h_dropout)]
            size = config.h_hidden_dim
        self.net = nn.Sequential(*layers, nn.Linear(size, taxonomy.n_classes))

    def start(self, counts: Sequence[Tensor]) -> None:
        """Start at the classes' frequencies, and weigh or adjust them, where that is asked for."""
        self.balance.start(counts)
        if self.prior_bias:
            self.net[-1].get_parameter("bias").data.copy_(log_odds(counts))

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits of h, shape (n, C)."""
        return self.net(features)  # type: ignore[no-any-return]

    def loss(self, outputs: Tensor, codes: Tensor) -> Tensor:
        """Return MCLoss."""
        # A sigmoid never falls as its logit rises, so maxima are taken over logits, and
        # -ln h = softplus(-logit) and -ln(1 - h) = softplus(logit) are finite for any of them.
        logits = self.balance.adjust(outputs)
        mcm = self.hierarchy.subtree_max(logits)
        # Where Y_c = 1, Y among c and its descendants is what remains of the row's path.
        path = self.hierarchy.along_path(codes)
        remaining = logits.gather(1, path).flip(1).cummax(dim=1).values.flip(1)
        losses = functional.softplus(mcm).scatter(1, path, functional.softplus(-remaining))
        return self.balance.mean(losses, codes)

    def level_scores(self, outputs: Tensor) -> list[Tensor]:
        """Return ln MCM, level by level."""
        # Logarithms first: equal logits need not round to equal logarithms, and a parent is never
        # to be below its child.
        log_h = -functional.softplus(-outputs)
        return list(self.hierarchy.split(self.hierarchy.subtree_max(log_h)))


class DBACHMCNN(PyTorchModel):
    """C-HMCNN over all classes."""

    model_id: ClassVar[str] = "db_achmcnn"
    config_class: ClassVar[type[ModelConfig]] = DBACHMCNNConfig
    config: DBACHMCNNConfig

    def make_head(self, width: int) -> Head:
        """Return a new head for features of this width."""
        return ACHMCNNHead(width, self.taxonomy, self.config)
