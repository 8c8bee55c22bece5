"""Decoding: from a model's scores to paths of the taxonomy, probabilities and the temperature."""

from __future__ import annotations

from ktt_core.decoding.paths import decode
from ktt_core.decoding.results import Prediction, Predictions
from ktt_core.decoding.scores import LevelScores, class_proba, leaf_log_proba
from ktt_core.decoding.temperature import MAX_TEMPERATURE, MIN_TEMPERATURE, fit_temperature

__all__ = [
    "MAX_TEMPERATURE",
    "MIN_TEMPERATURE",
    "DecodedPaths",
    "LevelScores",
    "Prediction",
    "Predictions",
    "class_proba",
    "decode",
    "fit_temperature",
    "leaf_log_proba",
]

#: The former name of `Predictions`, which models from outside may import.
DecodedPaths = Predictions
