"""The order of rows: complete, reproducible, mixed, and with little padding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktt_models.pytorch.input.order import file_order, shuffled_order, sorted_order


@given(st.integers(0, 500), st.integers(1, 40), st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_an_epoch_has_every_row_once_and_is_a_function_of_seed_and_epoch(
    n_rows, batch_size, seed, epoch, bucketed
):
    lengths = np.random.default_rng(0).integers(2, 60, n_rows) if bucketed else None
    order = shuffled_order(lengths, n_rows, batch_size, seed, epoch)
    assert sorted(order.tolist()) == list(range(n_rows))
    again = shuffled_order(lengths, n_rows, batch_size, seed, epoch)
    assert np.array_equal(order, again)


def test_epochs_and_seeds_have_orders_of_their_own():
    lengths = np.random.default_rng(0).integers(2, 60, 1000)
    orders = [shuffled_order(lengths, 1000, 8, *place) for place in ((0, 0), (0, 1), (1, 0))]
    assert len({order.tobytes() for order in orders}) == 3


def padding(order, lengths, batch_size):
    batches = [lengths[order[i : i + batch_size]] for i in range(0, len(order), batch_size)]
    cells = sum(len(batch) * batch.max() for batch in batches)
    return 1 - lengths.sum() / cells


def test_batches_of_similar_length_waste_little_on_padding():
    generator = np.random.default_rng(0)
    lengths = np.minimum(generator.geometric(1 / 12, 20_000) + 2, 64)
    plain = padding(shuffled_order(None, len(lengths), 16, 0, 0), lengths, 16)
    bucketed = padding(shuffled_order(lengths, len(lengths), 16, 0, 0), lengths, 16)
    assert plain > 0.5
    assert bucketed < 0.06


def test_batches_come_in_no_order_of_length():
    lengths = np.random.default_rng(0).integers(2, 60, 16_000)
    order = shuffled_order(lengths, len(lengths), 16, 0, 0)
    means = lengths[order].reshape(-1, 16).mean(axis=1)
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.15


@pytest.mark.parametrize("n_rows", [64, 800, 8_000])
def test_who_shares_a_batch_changes_with_the_epoch(n_rows):
    # Lengths that never tie: only what is pooled with what decides.
    lengths = np.arange(n_rows)
    first, second = (
        {
            frozenset(batch)
            for batch in shuffled_order(lengths, n_rows, 8, 0, epoch).reshape(-1, 8).tolist()
        }
        for epoch in (0, 1)
    )
    assert len(first & second) < len(first) / 20


def test_without_a_seed_the_longest_come_first_and_equals_in_the_files_order():
    lengths = np.array([3, 9, 3, 12], dtype=np.uint16)
    assert sorted_order(lengths).tolist() == [3, 1, 0, 2]
    assert file_order(3).tolist() == [0, 1, 2]
