"""Which epoch was the best, and when no better one is to be expected."""

from __future__ import annotations

from collections.abc import Mapping

from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.training.state import TrainingState

__all__ = ["CRITERION", "is_gain", "is_over"]

#: What the best state is the best in.
CRITERION = "hierarchical_f1"


def is_gain(metrics: Mapping[str, float], state: TrainingState) -> bool:
    """Say whether metrics are better than the best ones so far.

    Without validation rows there is nothing to compare: the newest state is the best.
    """
    if state.best is None or not metrics:
        return True
    return metrics[CRITERION] > state.best.metrics.get(CRITERION, float("-inf"))


def is_over(state: TrainingState, config: EncoderConfig) -> bool:
    """Say whether a run that has just ended an epoch is done."""
    patience = config.patience
    return state.epoch >= config.epochs or (patience is not None and state.since_gain >= patience)
