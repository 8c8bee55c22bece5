"""Distributed scoring of rows by all processes of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ktt_core.labels import Labels
from ktt_core.model import Batch

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["scored_by_all"]

Scores = Sequence[NDArray[np.float32]]


def scored_by_all(
    accelerator: Accelerator, batches: Iterable[Batch], score: Callable[[Batch], Scores]
) -> Iterator[tuple[Scores, Labels]]:
    """Yield the scores and the labels of all batches, in order, in every process.

    Each process scores every n-th batch; then the results are gathered.

    Parameters
    ----------
    accelerator : Accelerator
    batches : iterable of Batch
        The same in every process.
    score : callable
    """
    if accelerator.num_processes == 1:
        for batch in batches:
            yield score(batch), batch.labels
        return
    round_: list[Batch] = []
    for batch in batches:
        round_.append(batch)
        if len(round_) == accelerator.num_processes:
            yield from _score_round(accelerator, round_, score)
            round_ = []
    if round_:
        yield from _score_round(accelerator, round_, score)


def _score_round(
    accelerator: Accelerator, round_: list[Batch], score: Callable[[Batch], Scores]
) -> Iterator[tuple[Scores, Labels]]:
    from accelerate.utils import gather_object

    mine = [score(batch) for batch in round_[accelerator.process_index :][:1]]
    for scores, batch in zip(gather_object(mine), round_, strict=True):
        yield scores, batch.labels
