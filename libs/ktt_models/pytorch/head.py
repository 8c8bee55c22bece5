"""The contract of a head: from a text's features to scores and a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ktt_core.former_names import keep_former_name
from ktt_core.taxonomy import Taxonomy

__all__ = ["Head"]

# Heads of other packages may use the first name for one more release.
_FORMER_NAME = ("start", "init_from_counts")


class Head(nn.Module, ABC):
    """The network on top of an encoder, with a model's scores and loss.

    A head maps features to the inputs of its loss and scores, and is independent of encoder, device
    and training loop. It computes in float32: the loop excludes heads from reduced precision.

    Parameters
    ----------
    width : int
        Features per text, d.
    taxonomy : Taxonomy
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keep_former_name(cls, *_FORMER_NAME)

    def __init__(self, width: int, taxonomy: Taxonomy) -> None:
        super().__init__()
        self.width = width
        self.taxonomy = taxonomy

    @abstractmethod
    def forward(self, features: Tensor) -> Any:
        """Return the input of `loss` and `level_scores`.

        Parameters
        ----------
        features : Tensor of float32, shape (n, d)
        """

    @abstractmethod
    def loss(self, outputs: Any, codes: Tensor) -> Tensor:
        """Return the mean loss of a batch, a scalar.

        Parameters
        ----------
        outputs
            Result of `forward`.
        codes : Tensor of int64, shape (n, depth)
            The true paths, level-local.
        """

    @abstractmethod
    def level_scores(self, outputs: Any) -> Sequence[Tensor]:
        """Return the scores g_h that decoding sums along a path; traced into exported graphs.

        Returns
        -------
        sequence of Tensor of float32
            One per level, shape (n, n_h), or a single one of leaf log-scores, shape (n, n_leaves):
            see `ktt_core.model.Model.level_scores`.
        """

    def init_from_counts(self, counts: Sequence[torch.Tensor]) -> None:
        """Initialise weights and biases from class frequencies, before the first step.

        Parameters
        ----------
        counts : sequence of Tensor of int64, shape (n_h,)
            Training rows of every class, level by level.
        """


keep_former_name(Head, *_FORMER_NAME)
