"""What the BentoServices of all models have in common."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import bentoml
import numpy as np

from ktt_serving import metrics
from ktt_serving.answers import names_of_paths, paths_with_probabilities
from ktt_serving.identity import Identity, read_identity
from ktt_serving.monitor import MonitorPoster, poster_from_environment
from ktt_serving.privacy import keep_quiet, log_failure
from ktt_serving.reading import Question
from ktt_serving.rows import RowBatch
from ktt_serving.scoring import Scorer, Scores, load_scorer
from ktt_serving.server import extend_server
from ktt_serving.wire import JsonAnswers, TextTask

__all__ = ["ClassifierService"]


class ClassifierService(bentoml.BentoService):
    """A text classifier.

    A model's service has an artifact `ktt_serving.artifact.ModelFolder` of the name "model" and two
    APIs, which hand on to `answer_names` and `answer_paths`::

        @bentoml.artifacts([ModelFolder("model")])
        class MyService(ClassifierService):
            requirements = "encoder"

            @text_api(64)
            def predict(self, questions, tasks):
                return self.answer_names(questions, tasks)

    A model that keeps other artifacts than those of `ktt_serving.scoring` overrides `make_scorer`.
    """

    #: The file of ``ktt_serving/requirements`` that a bundle is installed from, without its suffix;
    #: or the path of one, relative to the module of the service.
    requirements: ClassVar[str] = "encoder"

    def __init__(self) -> None:
        keep_quiet()
        extend_server()
        super().__init__()
        for api in self.inference_apis:
            if isinstance(api.output_adapter, JsonAnswers):
                api.output_adapter.endpoint = api.name
                metrics.expect_answers(api.name)
        self.identity: Identity | None = None
        self._poster: MonitorPoster | None = None
        if self.artifacts["model"].loaded:
            self._open(self.artifacts["model"].get())

    def make_scorer(self, folder: Path, identity: Identity) -> Scorer:
        """Return what answers texts.

        Parameters
        ----------
        folder : Path
            What the model's ``export_artifacts`` wrote.
        identity : Identity
        """
        return load_scorer(folder, identity.gpu)

    def answer_names(self, questions: Sequence[Question], tasks: Sequence[TextTask]) -> list[str]:
        """Answer with the class names of the most probable path, one a line.

        Parameters
        ----------
        questions : sequence of Question
        tasks : sequence of TextTask
            Theirs. One whose answer fails is given an error of its own.

        Returns
        -------
        list of str
            JSON, for those tasks that did not fail.
        """
        kept, scores = self._score("predict", questions, tasks)
        if not kept:
            return []
        return names_of_paths(scores.log_proba, self.scorer.taxonomy)

    def answer_paths(self, questions: Sequence[Question], tasks: Sequence[TextTask]) -> list[str]:
        """Answer with the most probable paths and their probabilities; see `answer_names`."""
        kept, scores = self._score("predict_proba", questions, tasks)
        if not kept:
            return []
        return paths_with_probabilities(scores.log_proba, self.scorer.taxonomy, kept)

    def describe(self) -> dict[str, object]:
        """Return what a person wants to know of the model."""
        assert self.identity is not None
        taxonomy = self.scorer.taxonomy
        return {
            "model": self.identity.model,
            "display_name": self.identity.display_name,
            "dataset": self.identity.dataset,
            "version": self.identity.version,
            "leaves": taxonomy.n_leaves,
            "classes": int((~taxonomy.hidden).sum()),
            "depth": taxonomy.depth,
        }

    def _open(self, folder: Path) -> None:
        identity = self.identity = read_identity(folder)
        self.scorer = self.make_scorer(folder, identity)
        # The first call of a model is its slowest: nobody waits for this one.
        self.scorer(["warm"])
        metrics.MODEL_INFO.labels(identity.model, identity.dataset, identity.version).set(1)
        if identity.monitoring:
            self._poster = poster_from_environment()

    def _score(
        self, endpoint: str, questions: Sequence[Question], tasks: Sequence[TextTask]
    ) -> tuple[list[Question], Scores]:
        """Answer a batch; what makes it fail is found, and fails alone."""
        if not questions:
            return [], _NOTHING
        metrics.BATCH_ROWS.labels(endpoint).observe(len(questions))
        try:
            scores = self._call([question.text for question in questions])
            kept = list(range(len(questions)))
        except Exception:  # a model may raise anything
            kept, scores = self._one_by_one(endpoint, questions, tasks)
            if not kept:
                return [], _NOTHING
        for value in np.exp(scores.log_proba.max(axis=1)).tolist():
            metrics.CONFIDENCE.observe(min(value, 1.0))
        if self._poster is not None:
            ids = [tasks[row].task_id for row in kept]
            self._poster.put(RowBatch(ids, scores.features, scores.log_proba))
        return [questions[row] for row in kept], scores

    def _one_by_one(
        self, endpoint: str, questions: Sequence[Question], tasks: Sequence[TextTask]
    ) -> tuple[list[int], Scores]:
        kept, found = [], []
        for row, (question, task) in enumerate(zip(questions, tasks, strict=True)):
            try:
                found.append(self._call([question.text]))
                kept.append(row)
            except Exception as error:  # as above
                number = log_failure(endpoint, error)
                task.discard(f"the model failed on this text (error {number})", http_status=500)
        if not found:
            return [], _NOTHING
        return kept, Scores(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def _call(self, texts: list[str]) -> Scores:
        started = time.perf_counter()
        scores = self.scorer(texts)
        metrics.MODEL_SECONDS.observe(time.perf_counter() - started)
        best = scores.log_proba.max(axis=1)
        if len(best) != len(texts) or not np.isfinite(best).all():
            raise ArithmeticError("the model's scores are no numbers")
        return scores


_NOTHING = Scores(np.zeros((0, 0), dtype=np.float32), np.zeros((0, 0), dtype=np.float32))
