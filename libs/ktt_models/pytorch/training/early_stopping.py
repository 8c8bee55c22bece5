"""Which epoch was the best, and when no better one is to be expected."""

from __future__ import annotations

from collections.abc import Mapping

from ktt_core.metrics import VALIDATION_LOSS
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.training.state import TrainingState

__all__ = ["CRITERION", "is_best", "is_gain", "is_over"]

#: What the best state is the best in.
CRITERION = "hierarchical_f1"


def is_best(metrics: Mapping[str, float], state: TrainingState) -> bool:
    """Say whether an epoch's state is to be kept as the best one so far.

    Of epochs that are equally good by the criterion the one with the lowest validation loss is the
    best, and of those the first. Without validation rows there is nothing to compare: the newest
    state is the best.
    """
    if state.best is None or not metrics:
        return True
    return _rank(metrics) > _rank(state.best.metrics)


def is_gain(metrics: Mapping[str, float], state: TrainingState) -> bool:
    """Say whether an epoch is better by the criterion itself, which is what patience waits for.

    A loss may go down a little for ever.
    """
    if state.best is None or not metrics:
        return True
    return _rank(metrics)[0] > _rank(state.best.metrics)[0]


def _rank(metrics: Mapping[str, float]) -> tuple[float, float]:
    # Checkpoints of earlier versions know no loss: whatever is as good takes their place.
    lowest = float("-inf")
    loss = metrics.get(VALIDATION_LOSS)
    return metrics.get(CRITERION, lowest), lowest if loss is None else -loss


def is_over(state: TrainingState, config: EncoderConfig) -> bool:
    """Say whether a run that has just ended an epoch is done."""
    patience = config.patience
    return state.epoch >= config.epochs or (patience is not None and state.since_gain >= patience)
