"""Diagnostics of a model's errors, from one pass over a split."""

from __future__ import annotations

from ktt_core.diagnostics.answers import AnswerCounts, AnswerShares
from ktt_core.diagnostics.classes import (
    FrequencyBucket,
    LeafFigures,
    LevelFigures,
    frequency_buckets,
    leaf_figures,
    level_figures,
    rarest_leaves,
    worst_leaves,
)
from ktt_core.diagnostics.collector import SplitDiagnostics
from ktt_core.diagnostics.confusions import ConfusedPair, Confusions, top_pairs

__all__ = [
    "AnswerCounts",
    "AnswerShares",
    "ConfusedPair",
    "Confusions",
    "FrequencyBucket",
    "LeafFigures",
    "LevelFigures",
    "SplitDiagnostics",
    "frequency_buckets",
    "leaf_figures",
    "level_figures",
    "rarest_leaves",
    "top_pairs",
    "worst_leaves",
]
