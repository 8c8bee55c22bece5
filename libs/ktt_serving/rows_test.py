from __future__ import annotations

import json

import numpy as np
import pytest

from ktt_serving.rows import RowBatch, RowQueue, post_body


def batch(first, n, width=3):
    values = np.arange(first, first + n, dtype=np.float32)
    features = np.repeat(values[:, None], width, axis=1)
    log_proba = np.log(np.full((n, 2), 0.5, dtype=np.float32))
    return RowBatch([str(number) for number in range(first, first + n)], features, log_proba)


def ids(batches):
    return [number for part in batches for number in part.ids]


def test_a_row_is_nothing_then_features_then_probabilities():
    rows = RowBatch(
        ["x", 'y"'],
        np.array([[0.1, -2e-9], [1e20, 3]], dtype=np.float32),
        np.log(np.array([[1 / 3, 2 / 3], [1, 0]], dtype=np.float32) + np.float32(1e-30)),
    )
    body, told = post_body([rows])
    value = json.loads(body)
    assert told == 2 and value["ids"] == ["x", 'y"']
    assert value["data"][0][0] is None
    found = np.array(value["data"][0][1:], dtype=np.float32)
    assert found.tolist() == np.array([0.1, -2e-9, 1 / 3, 2 / 3], dtype=np.float32).tolist()
    assert value["data"][1][1:4] == pytest.approx([1e20, 3, 1])


def test_rows_that_json_cannot_say_are_left_out():
    rows = batch(0, 4)
    rows.features[1, 0] = np.nan
    rows.log_proba[2, 0] = np.inf
    body, told = post_body([rows])
    assert told == 2 and json.loads(body)["ids"] == ["0", "3"]


def test_a_number_arrives_as_it_is_here():
    # Rounded, it would no longer be equal to the same number in the reference set.
    values = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    rows = RowBatch(list(map(str, range(200))), values, np.zeros((200, 1), dtype=np.float32))
    told = np.array([row[1:6] for row in json.loads(post_body([rows])[0])["data"]])
    assert (told.astype(np.float32) == values).all()


def test_the_oldest_rows_are_lost_first():
    queue = RowQueue(max_rows=5, max_bytes=1 << 20)
    assert [queue.put(batch(start, 2)) for start in (0, 2, 4)] == [0, 0, 2]
    assert queue.n_rows == 4
    assert ids(queue.take(10, 1 << 20)) == ["2", "3", "4", "5"]
    assert queue.n_rows == queue.n_bytes == 0


def test_memory_is_bounded_too():
    size = batch(0, 1, width=1000).n_bytes
    queue = RowQueue(max_rows=1000, max_bytes=3 * size)
    lost = sum(queue.put(batch(number, 1, width=1000)) for number in range(10))
    assert lost == 7 and queue.n_bytes <= 3 * size


def test_a_batch_that_alone_is_too_much_is_lost():
    queue = RowQueue(max_rows=5, max_bytes=1 << 20)
    assert queue.put(batch(0, 6)) == 6
    assert queue.n_rows == 0 and queue.take(1, 1) == []


def test_batches_are_cut_where_a_post_is_full():
    queue = RowQueue(100, 1 << 20)
    for start in range(0, 12, 3):
        queue.put(batch(start, 3))
    taken = [ids(queue.take(max_rows=5, max_cells=1 << 20)) for _ in range(4)]
    assert [len(part) for part in taken] == [5, 5, 2, 0]
    assert sum(taken, []) == [str(number) for number in range(12)]
    queue.put(batch(0, 3))
    # A row of five numbers is one too many, and sent all the same.
    assert ids(queue.take(max_rows=5, max_cells=4)) == ["0"]
    assert queue.n_rows == 2
