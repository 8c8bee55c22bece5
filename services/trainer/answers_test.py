"""Answers are told by row, in whatever order a loader has its rows, and timed by themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from ktt_core.model import Batch
from ktt_core.taxonomy import Taxonomy
from trainer.answers import AnswerRecorder

TAXONOMY = Taxonomy.from_paths([("a",), ("b",), ("c",)])
MODEL: Any = SimpleNamespace(taxonomy=TAXONOMY, temperature=1.0)
SCORES = np.array([[3, 0, 0], [0, 3, 0], [0, 0, 3], [3, 0, 0]], dtype=np.float32)
CODES = np.array([[0], [1], [1], [2]], dtype=np.int32)


@dataclass(frozen=True)
class PlacedBatch(Batch):
    """A batch that says which rows it has."""

    rows: Any


class Backwards:
    """Yields two rows at a time, from the end."""

    n_rows = 4

    def __init__(self, placed: bool) -> None:
        self._placed = placed

    def __iter__(self) -> Iterator[Batch]:
        for rows in ([3, 2], [1, 0]):
            inputs = {"scores": SCORES[rows]}
            yield (
                PlacedBatch(inputs, CODES[rows], rows)
                if self._placed
                else Batch(inputs, CODES[rows])
            )


def run(recorder: AnswerRecorder) -> None:
    for batch in recorder:
        recorder.observe([batch.inputs["scores"]], batch.codes)
        time.sleep(0.05)


def test_a_loader_that_places_its_rows_has_its_answers_in_the_splits_order() -> None:
    recorder = AnswerRecorder(Backwards(placed=True), MODEL)
    run(recorder)
    assert recorder.leaves.tolist() == [0, 1, 2, 0]
    assert recorder.true_leaves.tolist() == CODES[:, 0].tolist()
    np.testing.assert_allclose(recorder.probabilities, 0.909, atol=1e-3)


def test_one_that_does_not_is_found_out() -> None:
    recorder = AnswerRecorder(Backwards(placed=False), MODEL)
    run(recorder)
    assert recorder.true_leaves.tolist() != CODES[:, 0].tolist()


def test_what_is_done_with_an_answer_is_not_timed() -> None:
    recorder = AnswerRecorder(Backwards(placed=True), MODEL)
    run(recorder)
    assert 0.0 < recorder.seconds < 0.05
