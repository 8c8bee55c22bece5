"""Options that help rare classes: balanced class weights, and logit adjustment.

Both follow from how often classes occur in training, and change the loss alone: scores and
predictions are those of the unadjusted network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ktt_core.former_names import keep_former_name
from ktt_core.taxonomy import Taxonomy

__all__ = ["Balance", "log_odds"]

# Lower bound for rare classes: below it, a sigmoid has hardly any gradient.
_LOWEST_LOG_ODDS = -4.0


def log_odds(counts: Sequence[Tensor]) -> Tensor:
    """Return ``ln(p / (1 - p))`` of every class, p its share of the rows: float32, shape (C,).

    Initial bias of a sigmoid over all classes (Lin et al., "Focal Loss for Dense Object Detection",
    2017): with 0, the first epochs would only learn that most classes are rare. Clipped to [-4, 4].

    Parameters
    ----------
    counts : sequence of Tensor of int64, shape (n_h,)
        Training rows of every class, level by level.
    """
    shares = torch.cat([level / level.sum().clamp(min=1) for level in counts])
    return torch.logit(shares).clamp(_LOWEST_LOG_ODDS, -_LOWEST_LOG_ODDS)


class Balance(nn.Module):
    """Weights and shifts of classes, level by level.

    On each level a row has the weight of its class, ``W_c = N / (n_classes * N_c)`` over the
    classes that occur, as if all classes were equally frequent. Logit adjustment (Menon et al.,
    2021) trains ``z_c + tau * ln(N_c / N)``, so that z itself is independent of the frequencies.
    The shift is centred on each level: a softmax is invariant to that, and a sigmoid's scores keep
    their mean.

    Parameters
    ----------
    taxonomy : Taxonomy
    class_weight : {"balanced"} or None
    logit_adjustment : float
        tau; 0 adjusts nothing.
    """

    weights: Tensor
    shifts: Tensor

    def __init__(
        self,
        taxonomy: Taxonomy,
        class_weight: Literal["balanced"] | None = None,
        logit_adjustment: float = 0.0,
    ) -> None:
        super().__init__()
        self.class_weight = class_weight
        self.logit_adjustment = logit_adjustment
        self.level_sizes: list[int] = taxonomy.level_sizes.tolist()
        # Persistent: a checkpoint continues training without counting again.
        self.register_buffer("weights", torch.ones(taxonomy.n_classes))
        self.register_buffer("shifts", torch.zeros(taxonomy.n_classes))

    def init_from_counts(self, counts: Sequence[Tensor]) -> None:
        """Set weights and shifts from the training rows of every class, level by level."""
        weights, shifts = [], []
        for level in counts:
            # A class without rows counts as one with one row: its weight and logarithm are
            # undefined.
            rows = level.to(torch.float64).clamp(min=1.0)
            shares = rows / level.sum().clamp(min=1)
            weights.append(1.0 / (shares * (level > 0).sum().clamp(min=1)))
            shifts.append(shares.log() - shares.log().mean())
        if self.class_weight == "balanced":
            self.weights.copy_(torch.cat(weights))
        if self.logit_adjustment:
            self.shifts.copy_(self.logit_adjustment * torch.cat(shifts))

    def adjust(self, logits: Tensor, level: int | None = None) -> Tensor:
        """Return logits as training sees them: (n, C), or (n, n_h) of one level."""
        if not self.logit_adjustment:
            return logits
        return logits + (self.shifts if level is None else self._level(self.shifts, level))

    def cross_entropy(self, logits: Tensor, codes: Tensor, level: int) -> Tensor:
        """Return the mean over rows of -ln softmax(logits)[codes], weighted and adjusted.

        Parameters
        ----------
        logits : Tensor, shape (n, n_h)
        codes : Tensor of int64, shape (n,)
        level : int
        """
        adjusted = self.adjust(logits, level)
        if self.class_weight is None:
            return functional.cross_entropy(adjusted, codes)
        losses = functional.cross_entropy(adjusted, codes, reduction="none")
        # Not divided by the sum of the weights: a batch of common classes would count like one of
        # rare ones.
        return (losses * self._level(self.weights, level)[codes]).mean()

    def mean(self, losses: Tensor, codes: Tensor) -> Tensor:
        """Return the mean of losses over rows and classes, shape (n, C), weighted by level."""
        if self.class_weight is None:
            return losses.mean()
        levels = losses.split(self.level_sizes, dim=1)
        total = losses.new_zeros(())
        for level, part in enumerate(levels):
            weights = self._level(self.weights, level)[codes[:, level]]
            total = total + (part.sum(dim=1) * weights).mean()
        return total / losses.shape[1]

    def level_mean(self, losses: Tensor, codes: Tensor, level: int) -> Tensor:
        """Return the mean over rows and one level's classes; losses (n, n_h), codes (n,)."""
        if self.class_weight is None:
            return losses.mean()
        return (losses.mean(dim=1) * self._level(self.weights, level)[codes]).mean()

    def _level(self, values: Tensor, level: int) -> Tensor:
        return values.split(self.level_sizes)[level]


# Heads of other packages may use the former name for one more release.
keep_former_name(Balance, "start", "init_from_counts")
