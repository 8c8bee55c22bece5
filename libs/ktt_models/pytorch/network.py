"""An encoder with a head: the network that is trained, saved and exported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ktt_models.pytorch.encoders.encoder import Encoder
from ktt_models.pytorch.head import Head

__all__ = ["EncoderNetwork"]


class EncoderNetwork(nn.Module):
    """Maps token ids, or precomputed features, to scores and a loss.

    Parameters
    ----------
    encoder : Encoder
    head : Head
    frozen : bool
        Whether the encoder is not trained.
    """

    def __init__(self, encoder: Encoder, head: Head, frozen: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.frozen = frozen
        if frozen:
            encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> EncoderNetwork:
        """Switch dropout on or off; never on for a frozen encoder."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(self, inputs: Mapping[str, Tensor], codes: Tensor) -> Tensor:
        """Return the mean loss of a batch, a scalar.

        Parameters
        ----------
        inputs : mapping of str to Tensor
            ``input_ids`` and ``attention_mask``, int64, shape (n, length); or ``features``,
            float32, shape (n, d).
        codes : Tensor of int64, shape (n, depth)
        """
        features = self.features(inputs)
        # Reduced precision ends at the features: heads sum and compare over thousands of classes.
        with torch.autocast(features.device.type, enabled=False):
            return self.head.loss(self.head(features), codes)

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the encoder's pooled features, float32, shape (n, d)."""
        if "features" in inputs:
            return inputs["features"].float()
        pooled: Tensor = self.encoder(inputs["input_ids"], inputs["attention_mask"])
        return pooled.float()

    def level_scores(self, features: Tensor) -> Sequence[Tensor]:
        """Return the scores of features; see `ktt_models.pytorch.head.Head.level_scores`."""
        with torch.autocast(features.device.type, enabled=False):
            return self.head.level_scores(self.head(features))

    def trained(self) -> Iterable[tuple[str, nn.Parameter]]:
        """Yield the weights that training changes, by their names."""
        return ((name, weight) for name, weight in self.named_parameters() if weight.requires_grad)
