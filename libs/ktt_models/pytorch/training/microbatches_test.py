"""A step's rows are shared out whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktt_core.model import Batch
from ktt_models.pytorch.training.microbatches import cut, microbatches


def batch_of(lengths: list[int]) -> Batch:
    """Return rows that carry their number and are padded on the right."""
    width = max(1, *lengths)
    mask = (np.arange(width) < np.array(lengths)[:, None]).astype(np.int64)
    codes = np.arange(len(lengths), dtype=np.int32)[:, None]
    return Batch({"input_ids": mask * 7, "attention_mask": mask}, codes)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(1, 4), st.integers(1, 5))
def test_every_row_is_in_one_part_and_the_weights_make_the_mean(
    lengths: list[int], world: int, accumulate: int
) -> None:
    batch = batch_of(lengths)
    rows, weights = [], 0.0
    for rank in range(world):
        parts = list(microbatches(batch, rank, world, accumulate))
        assert 1 <= len(parts) <= accumulate
        assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
        for part in parts:
            numbers = part.batch.codes[:, 0].tolist()
            if part.weight:
                rows += numbers
                assert part.weight == pytest.approx(len(numbers) / len(lengths) * world)
            weights += part.weight / world
            ids = part.batch.inputs["input_ids"]
            assert ids.shape == (len(numbers), max(1, *(lengths[row] for row in numbers)))
    assert sorted(rows) == list(range(len(lengths)))
    assert weights == pytest.approx(1.0)


def test_features_are_cut_by_rows_alone() -> None:
    batch = Batch({"features": np.ones((4, 3), np.float32)}, np.zeros((4, 1), np.int32))
    assert cut(batch, slice(1, 3)).inputs["features"].shape == (2, 3)
