"""Base class of all models' BentoServices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import bentoml
import numpy as np
from numpy.typing import NDArray

from ktt_serving import metrics
from ktt_serving.adapters import JsonAnswers, TextTask
from ktt_serving.answers import names_of_paths, paths_with_probabilities
from ktt_serving.bentoml_patches.apply import apply
from ktt_serving.bentoml_patches.gunicorn_server import still_working
from ktt_serving.identity import Identity, read_identity
from ktt_serving.monitor import MonitorPoster, poster_from_environment
from ktt_serving.privacy import log_failure, silence_request_logs
from ktt_serving.reading import Question
from ktt_serving.rows import RowBatch
from ktt_serving.scores import Scorer, Scores, check_scorer
from ktt_serving.scoring import load_scorer
from ktt_serving.text_lists import list_answer, row_id

__all__ = ["ClassifierService"]


class ClassifierService(bentoml.BentoService):
    """A text classifier.

    A model's service has an artifact `ktt_serving.artifact.ModelFolder` named "model" and two APIs,
    which call `answer_names` and `answer_paths`::

        @bentoml.artifacts([ModelFolder("model")])
        class MyService(ClassifierService):
            requirements = "encoder"

            @text_api(64)
            def predict(self, questions, tasks):
                return self.answer_names(questions, tasks)

    A model with other artifacts than those of `ktt_serving.scoring` overrides `make_scorer`.
    """

    #: The file of ``ktt_packing/packer/requirements`` that a bundle is installed from, without its
    #: suffix; or the path of one, relative to the module of the service.
    requirements: ClassVar[str] = "encoder"

    def __init__(self) -> None:
        silence_request_logs()
        apply("service")
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
        """Return the model's scorer.

        Parameters
        ----------
        folder : Path
            Result of the model's ``export_artifacts``.
        identity : Identity
        """
        return load_scorer(folder, identity.gpu)

    def answer_names(self, questions: Sequence[Question], tasks: Sequence[TextTask]) -> list[str]:
        """Return the class names of the most probable path, one per line.

        Parameters
        ----------
        questions : sequence of Question
        tasks : sequence of TextTask
            The questions' tasks. A task that fails gets its own error.

        Returns
        -------
        list of str
            JSON, for the tasks that did not fail.
        """
        return self._answer("predict", questions, tasks, self._names)

    def answer_paths(self, questions: Sequence[Question], tasks: Sequence[TextTask]) -> list[str]:
        """Return the most probable paths and their probabilities; see `answer_names`.

        A question of a list of texts is answered with a list.
        """
        return self._answer("predict_proba", questions, tasks, self._paths)

    def describe(self) -> dict[str, object]:
        """Return a description of the model for users."""
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
        # It is the warm-up, too: the first call of a model is its slowest.
        check_scorer(self.scorer, "warm")
        if hasattr(self.scorer, "on_tokens"):
            # The model cuts texts, and counts the cut tokens.
            metrics.expect_tokens()
            self.scorer.on_tokens = metrics.count_tokens
        elif hasattr(self.scorer, "on_characters"):
            metrics.expect_characters()
            self.scorer.on_characters = metrics.count_characters
        metrics.MODEL_INFO.labels(identity.model, identity.dataset, identity.version).set(1)
        if identity.monitoring:
            self._poster = poster_from_environment()

    def _names(self, log_proba: NDArray[np.float32], questions: Sequence[Question]) -> list[str]:
        return names_of_paths(log_proba, self.scorer.taxonomy)

    def _paths(self, log_proba: NDArray[np.float32], questions: Sequence[Question]) -> list[str]:
        return paths_with_probabilities(log_proba, self.scorer.taxonomy, questions)

    def _answer(
        self,
        endpoint: str,
        questions: Sequence[Question],
        tasks: Sequence[TextTask],
        write: Callable[[NDArray[np.float32], Sequence[Question]], list[str]],
    ) -> list[str]:
        asked = [
            _Asked(question, task, place, text)
            for question, task in zip(questions, tasks, strict=True)
            for place, text in enumerate(question.texts)
        ]
        answers: dict[str, list[str]] = {task.task_id: [] for task in tasks}
        for call in _calls(asked, self._texts_a_call(endpoint)):
            kept, scores = self._score(endpoint, call)
            still_working()
            written = write(scores.log_proba, [row.question for row in kept]) if kept else []
            for row, answer in zip(kept, written, strict=True):
                answers[row.task.task_id].append(answer)
        return [
            list_answer(task.task_id, found) if question.is_list else found[0]
            for question, task in zip(questions, tasks, strict=True)
            if not task.is_discarded
            for found in [answers[task.task_id]]
        ]

    def _texts_a_call(self, endpoint: str) -> int:
        for api in self.inference_apis:
            if api.name == endpoint and api.mb_max_batch_size:
                return int(api.mb_max_batch_size)
        return _TEXTS_A_CALL

    def _score(self, endpoint: str, asked: Sequence[_Asked]) -> tuple[Sequence[_Asked], Scores]:
        """Score texts in one call; if it fails, find the failing texts, so that only these fail."""
        metrics.BATCH_ROWS.labels(endpoint).observe(len(asked))
        try:
            kept, scores = asked, self._call([row.text for row in asked])
        except Exception:  # a model may raise anything
            kept, scores = self._one_by_one(endpoint, asked)
            if not kept:
                return [], scores
        for value in np.exp(scores.log_proba.max(axis=1)).tolist():
            metrics.CONFIDENCE.observe(min(value, 1.0))
        if self._poster is not None:
            ids = [row.id for row in kept]
            self._poster.put(RowBatch(ids, scores.features, scores.log_proba))
        return kept, scores

    def _one_by_one(self, endpoint: str, asked: Sequence[_Asked]) -> tuple[list[_Asked], Scores]:
        kept, found = [], []
        for row in asked:
            if row.task.is_discarded:
                continue  # another of its texts has failed
            try:
                found.append(self._call([row.text]))
                kept.append(row)
            except Exception as error:  # as above
                number = log_failure(endpoint, error)
                place = row.place if row.question.is_list else None
                row.task.discard(
                    f"the model failed on this text (error {number})", place, http_status=500
                )
        if not found:
            return [], _NOTHING
        return kept, Scores(*(np.concatenate(parts) for parts in zip(*found, strict=True)))

    def _call(self, texts: list[str]) -> Scores:
        started = time.perf_counter()
        scores = self.scorer(texts)
        metrics.MODEL_SECONDS.observe(time.perf_counter() - started)
        best = scores.log_proba.max(axis=1)
        if len(best) != len(texts) or not np.isfinite(best).all():
            raise ArithmeticError("the model's scores are not finite")
        return scores


def _calls(asked: Sequence[_Asked], most_texts: int) -> Iterator[Sequence[_Asked]]:
    """Split texts into calls of the model, since lists and long texts may exceed one."""
    start = size = 0
    for place, row in enumerate(asked):
        size += len(row.text)
        if place > start and (place - start >= most_texts or size > _CHARACTERS_A_CALL):
            yield asked[start:place]
            start, size = place, len(row.text)
    if asked:
        yield asked[start:]


@dataclass(frozen=True)
class _Asked:
    question: Question
    task: TextTask
    place: int
    text: str

    @property
    def id(self) -> str:
        """Return the id of a task's row, for labels."""
        number: str = self.task.task_id
        return row_id(number, self.place) if self.question.is_list else number


# Default batch size of an API.
_TEXTS_A_CALL = 256
# A model's memory for a call is a hundred times as much.
_CHARACTERS_A_CALL = 64 << 10
_NOTHING = Scores(np.zeros((0, 0), dtype=np.float32), np.zeros((0, 0), dtype=np.float32))
