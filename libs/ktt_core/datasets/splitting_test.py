from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.datasets.splitting import TEST, TRAIN, VAL, find_repeats, split_rows

_leaves = st.lists(st.integers(0, 12), max_size=200)
_seeds = st.integers(0, 2**32 - 1)
_ratios = st.sampled_from(
    [(0.8, 0.1), (0.34, 0.33), (0.1, 0.45), (0.7, 0.3), (1.0, 0.0), (0.5, 0.0)]
)


def _split(leaves: list[int], ratios: tuple[float, float], seed: int) -> np.ndarray:
    return split_rows(np.array(leaves, dtype=np.int32), 13, *ratios, seed)


@settings(deadline=None)
@given(_leaves, _ratios, _seeds)
def test_every_row_is_in_one_split_and_every_leaf_in_train(
    leaves: list[int], ratios: tuple[float, float], seed: int
) -> None:
    split = _split(leaves, ratios, seed)
    assert split.shape == (len(leaves),)
    assert set(split.tolist()) <= {TRAIN, VAL, TEST}
    assert set(np.array(leaves)[split == TRAIN].tolist()) == set(leaves)


@settings(deadline=None)
@given(_leaves, _ratios, _seeds)
def test_the_same_seed_gives_the_same_split(
    leaves: list[int], ratios: tuple[float, float], seed: int
) -> None:
    assert np.array_equal(_split(leaves, ratios, seed), _split(leaves, ratios, seed))


@settings(deadline=None)
@given(_leaves, _seeds)
def test_each_leaf_gives_its_share_rounded_down_or_up(leaves: list[int], seed: int) -> None:
    split = _split(leaves, (0.8, 0.1), seed)
    for leaf in set(leaves):
        rows = split[np.array(leaves) == leaf]
        for code in (VAL, TEST):
            share = len(rows) / 10 if len(rows) >= 3 else 0
            assert np.floor(share) <= np.sum(rows == code) <= np.ceil(share)


@settings(deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=12), _seeds)
def test_shares_hold_over_all_leaves_together(sizes: list[int], seed: int) -> None:
    leaves = np.repeat(np.arange(len(sizes)), np.array(sizes) + 3).tolist()
    split = _split(leaves, (0.8, 0.1), seed)
    for code in (VAL, TEST):
        assert abs(np.sum(split == code) - len(leaves) / 10) <= 1


def test_a_thousand_rows_split_eight_to_one_to_one() -> None:
    split = _split([0] * 500 + [1] * 500, (0.8, 0.1), 0)
    assert np.bincount(split).tolist() == [800, 100, 100]


def test_small_leaves_alternate_between_val_and_test() -> None:
    # 40 leaves of 5 rows: 20 of them have one row in val, and 20 others one in test.
    leaves = np.repeat(np.arange(40), 5).astype(np.int32)
    split = split_rows(leaves, 40, 0.8, 0.1, 0)
    val, test = set(leaves[split == VAL].tolist()), set(leaves[split == TEST].tolist())
    assert len(val) == len(test) == 20
    assert not val & test


def test_another_seed_gives_another_split_of_the_same_sizes() -> None:
    one, two = _split([0, 1] * 100, (0.8, 0.1), 1), _split([0, 1] * 100, (0.8, 0.1), 2)
    assert not np.array_equal(one, two)
    assert np.bincount(one).tolist() == np.bincount(two).tolist()


def test_the_split_of_a_seed_never_changes() -> None:
    # A later version must put the same rows in test.
    assert _split([0] * 12, (0.5, 0.25), 42).tolist() == [0, 2, 0, 2, 1, 0, 0, 0, 1, 2, 1, 0]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), max_size=60))
def test_repeats_and_conflicts_equal_those_of_a_row_by_row_search(
    rows: list[tuple[int, int]],
) -> None:
    hashes = np.array([text for text, _ in rows], dtype=np.int64)
    leaves = np.array([leaf for _, leaf in rows], dtype=np.int32)
    repeated, conflicting = find_repeats(hashes, leaves)

    seen: set[int] = set()
    for place, (text, _) in enumerate(rows):
        in_conflict = len({leaf for other, leaf in rows if other == text}) > 1
        assert conflicting[place] == in_conflict
        assert repeated[place] == (not in_conflict and text in seen)
        seen.add(text)


def test_an_empty_dataset_is_accepted() -> None:
    assert _split([], (0.8, 0.1), 0).tolist() == []
    repeated, conflicting = find_repeats(np.empty(0, np.int64), np.empty(0, np.int32))
    assert len(repeated) == len(conflicting) == 0
