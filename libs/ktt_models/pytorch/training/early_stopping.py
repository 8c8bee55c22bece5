"""Selection of the best epoch, and early stopping."""

from __future__ import annotations

from collections.abc import Mapping

from ktt_core.metrics import VALIDATION_LOSS
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.training.state import TrainingState

__all__ = ["CRITERION", "is_best", "is_gain", "is_over"]

#: Criterion of the best state.
CRITERION = "hierarchical_f1"


def is_best(metrics: Mapping[str, float], state: TrainingState) -> bool:
    """Return whether an epoch's state is to be kept as the best one so far.

    Of epochs with an equal criterion, the best is the one with the lowest validation loss, and of
    those the first. Without validation rows, the newest state is the best.
    """
    if state.best is None or not metrics:
        return True
    return _rank(metrics) > _rank(state.best.metrics)


def is_gain(metrics: Mapping[str, float], state: TrainingState) -> bool:
    """Return whether an epoch is better by the criterion itself, which patience waits for.

    The loss may decrease slightly forever.
    """
    if state.best is None or not metrics:
        return True
    return _rank(metrics)[0] > _rank(state.best.metrics)[0]


def _rank(metrics: Mapping[str, float]) -> tuple[float, float]:
    # Checkpoints of earlier versions have no loss: an equal criterion replaces them.
    lowest = float("-inf")
    loss = metrics.get(VALIDATION_LOSS)
    return metrics.get(CRITERION, lowest), lowest if loss is None else -loss


def is_over(state: TrainingState, config: EncoderConfig) -> bool:
    """Return whether a run is finished at the end of an epoch."""
    patience = config.patience
    return state.epoch >= config.epochs or (patience is not None and state.since_gain >= patience)
