"""The network of an exported graph: from token ids to calibrated probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ktt_core.reference import POOL_WIDTH
from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.network import EncoderNetwork

__all__ = ["Answers", "ExportedNetwork", "LeafLogProba", "PooledFeatures"]


class Answers(NamedTuple):
    """The outputs of a graph, by their names in it.

    Attributes
    ----------
    log_proba : Tensor of float32, shape (n, n_leaves)
        `ktt_core.decoding.leaf_log_proba` at the model's temperature.
    scores : Tensor of float32, shape (n, C) or (n, n_leaves)
        The head's level scores, concatenated.
    features : Tensor of float32, shape (n, ceil(d / 32))
        `ktt_core.reference.pool_features` of the encoder's.
    """

    log_proba: Tensor
    scores: Tensor
    features: Tensor


class ExportedNetwork(nn.Module):
    """A trained network followed by the decoding.

    Parameters
    ----------
    network : EncoderNetwork
    taxonomy : Taxonomy
    width : int
        The encoder's features per text, d.
    temperature : float
        Becomes a constant of the graph.
    """

    def __init__(
        self, network: EncoderNetwork, taxonomy: Taxonomy, width: int, temperature: float
    ) -> None:
        super().__init__()
        self.network = network
        self.decoding = LeafLogProba(taxonomy, temperature)
        self.pooling = PooledFeatures(width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Answers:
        """Return the outputs for a batch of texts; both inputs are int64, shape (n, length)."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        features = self.network.features(inputs)
        levels = self.network.level_scores(features)
        return Answers(self.decoding(levels), torch.cat(tuple(levels), 1), self.pooling(features))


class LeafLogProba(nn.Module):
    """`ktt_core.decoding.leaf_log_proba` in torch, linear in the classes.

    From level to level, every class receives its parent's sum of scores: one gather.

    Parameters
    ----------
    taxonomy : Taxonomy
    temperature : float
    """

    def __init__(self, taxonomy: Taxonomy, temperature: float) -> None:
        super().__init__()
        self.beta = 1.0 / temperature
        for level, parents in enumerate(taxonomy.parent_of[1:], 1):
            indices = torch.as_tensor(parents, dtype=torch.int64)
            self.register_buffer(f"parents_{level}", indices, persistent=False)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Return the leaves' log-probabilities, shape (n, n_leaves)."""
        sums = levels[0]
        for level in range(1, len(levels)):
            sums = sums.index_select(1, self.get_buffer(f"parents_{level}")) + levels[level]
        if self.beta != 1.0:
            sums = sums * self.beta
        # Rounding can lift a leaf's log-probability slightly above 0.
        return sums.log_softmax(dim=1).clamp(max=0.0)


class PooledFeatures(nn.Module):
    """`ktt_core.reference.pool_features` in torch.

    Parameters
    ----------
    width : int
        Features per text, d.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.missing = -width % POOL_WIDTH
        pooled = torch.full(((width + self.missing) // POOL_WIDTH,), float(POOL_WIDTH))
        # The last group may have fewer features.
        pooled[-1] -= self.missing
        self.register_buffer("pooled", pooled, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """Return the means of neighbouring features, (n, d) -> (n, ceil(d / 32))."""
        padded = functional.pad(features, (0, self.missing)) if self.missing else features
        return padded.unflatten(1, (-1, POOL_WIDTH)).sum(2) / self.get_buffer("pooled")
