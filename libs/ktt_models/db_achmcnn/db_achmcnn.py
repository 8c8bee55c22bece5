"""C-HMCNN: a network over all classes, whose scores a maximum over each subtree constrains.

Adapted from Giunchiglia and Lukasiewicz, "Coherent Hierarchical Multi-Label Classification
Networks", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from ktt_core.config import ModelConfig
from ktt_core.taxonomy import Taxonomy
from ktt_models.db_achmcnn.config import DBACHMCNNConfig
from ktt_models.pytorch.balancing import Balance, log_odds
from ktt_models.pytorch.head import Head
from ktt_models.pytorch.hierarchy import Hierarchy
from ktt_models.pytorch.model import PyTorchModel

__all__ = ["ACHMCNNHead", "DBACHMCNN", "DBACHMCNNConfig"]


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

    def init_from_counts(self, counts: Sequence[Tensor]) -> None:
        """Initialise biases, weights and shifts from the classes' frequencies, as configured."""
        self.balance.init_from_counts(counts)
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
        # Where Y_c = 1, the Y of c and its descendants is the rest of the row's path.
        path = self.hierarchy.along_path(codes)
        remaining = logits.gather(1, path).flip(1).cummax(dim=1).values.flip(1)
        losses = functional.softplus(mcm).scatter(1, path, functional.softplus(-remaining))
        return self.balance.mean(losses, codes)

    def level_scores(self, outputs: Tensor) -> list[Tensor]:
        """Return ln MCM, level by level."""
        # Logarithms before the maximum: a maximum of logits may round below a child's logarithm.
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
