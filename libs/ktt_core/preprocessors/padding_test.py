"""Rows of a flat array become a padded batch."""

from __future__ import annotations

import numpy as np

from ktt_core.preprocessors.padding import pad_rows


def test_rows_are_taken_in_any_order_and_padded_to_the_longest_of_them():
    values = np.array([5, 6, 7, 8, 9, 10], dtype=np.uint16)
    batch = pad_rows(values, np.array([4, 0, 3]), np.array([2, 3, 0]), pad_id=1)
    assert batch["input_ids"].tolist() == [[9, 10, 1], [5, 6, 7], [1, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1], [0, 0, 0]]
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int64)}


def test_a_batch_has_a_column_even_if_it_has_no_ids():
    nothing = np.zeros(0, dtype=np.int64)
    assert pad_rows(nothing, nothing, nothing, 1)["input_ids"].shape == (0, 1)
    one = np.zeros(1, dtype=np.int64)
    assert pad_rows(nothing, one, one, 7)["input_ids"].tolist() == [[7]]
