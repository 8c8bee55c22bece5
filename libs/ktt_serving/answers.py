"""Conversion of a model's scores to the answers of the two APIs."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding import Prediction, decode
from ktt_core.taxonomy import Taxonomy
from ktt_serving.reading import Question

__all__ = ["names_of_paths", "paths_with_probabilities"]


def names_of_paths(log_proba: NDArray[np.float32], taxonomy: Taxonomy) -> list[str]:
    """Return each row's most probable path as a JSON string, one class name per line."""
    decoded = decode([log_proba], taxonomy)
    return [
        json.dumps("\n".join(best.path), ensure_ascii=False)
        for best, *_ in decoded.iter_predictions()
    ]


def paths_with_probabilities(
    log_proba: NDArray[np.float32], taxonomy: Taxonomy, questions: Sequence[Question]
) -> list[str]:
    """Return each row's most probable paths as a JSON object, by its question's options."""
    # Questions with equal options are decoded together.
    rows_of: dict[tuple[int, float], list[int]] = {}
    for row, question in enumerate(questions):
        rows_of.setdefault((question.top_k, question.min_confidence), []).append(row)
    answers = [""] * len(questions)
    for (top_k, min_confidence), rows in rows_of.items():
        decoded = decode([log_proba[rows]], taxonomy, top_k=top_k, min_confidence=min_confidence)
        for row, predictions in zip(rows, decoded.iter_predictions(), strict=True):
            answers[row] = json.dumps(
                {"predictions": [_entry(prediction) for prediction in predictions]},
                ensure_ascii=False,
            )
    return answers


def _entry(prediction: Prediction) -> dict[str, object]:
    # A float32 has seven significant digits.
    return {"path": list(prediction.path), "probability": float(f"{prediction.probability:.7g}")}
