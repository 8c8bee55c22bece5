"""Encoder, C-HMCNN as a BentoML service."""

from __future__ import annotations

from collections.abc import Sequence

import bentoml

from ktt_serving.adapters import TextTask, text_api
from ktt_serving.artifact import ModelFolder
from ktt_serving.reading import Question
from ktt_serving.service import ClassifierService

__all__ = ["DBACHMCNNService"]

# Texts a call of the model; more wait for the next.
_BATCH = 64


@bentoml.artifacts([ModelFolder("model")])
class DBACHMCNNService(ClassifierService):
    """Encoder, C-HMCNN: says where in a tree of classes a text belongs."""

    requirements = "encoder"

    @text_api(_BATCH)
    def predict(self, questions: Sequence[Question], tasks: Sequence[TextTask]) -> list[str]:
        """Answer {"text": "..."} with the class names of the most probable path, one a line."""
        return self.answer_names(questions, tasks)

    @text_api(_BATCH, options=True)
    def predict_proba(self, questions: Sequence[Question], tasks: Sequence[TextTask]) -> list[str]:
        """Answer with the most probable paths and their probabilities.

        "top_k" says how many (5); paths end at their deepest class that reaches "min_confidence".
        """
        return self.answer_paths(questions, tasks)
