"""Files that are found again, made anew when damaged, shared by processes and removed in time."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ktt_core.errors import ResourceExhaustedError
from ktt_models.pytorch.input import cache as cache_module
from ktt_models.pytorch.input import spool as spool_module
from ktt_models.pytorch.input.cache import Cache, cache_root
from ktt_models.pytorch.input.spool import Spool
from ktt_models.pytorch.input.tables import (
    DamagedCacheError,
    TokenTable,
    read_table,
    write_table,
)

ROWS = [[5, 6, 7], [], [9, 65_535]]


def table(rows=ROWS, dtype=np.uint16):
    values = np.array([one for row in rows for one in row], dtype=dtype)
    offsets = np.cumsum([0, *map(len, rows)])
    codes = np.arange(2 * len(rows), dtype=np.int32).reshape(-1, 2)
    cut = np.arange(len(rows), dtype=np.int32)
    return TokenTable(values, offsets, codes, cut)


def rows_of(found):
    return [found.values[a:b].tolist() for a, b in pairwise(found.offsets)]


class Maker:
    """Makes tables, and counts them."""

    def __init__(self):
        self.made = 0

    def __call__(self, folder):
        self.made += 1
        self.folder = folder
        return table()


@pytest.fixture
def split(tmp_path):
    path = tmp_path / "datasets" / "toys" / "train.parquet"
    path.parent.mkdir(parents=True)
    return path


def get(cache, make, waiting=lambda: None):
    return cache.get(TokenTable.of, make, TokenTable.columns, waiting)


def cache_of(split, content="content", **about):
    return Cache(split, "tokens", content, {"max_length": 64, **about})


# -- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [ROWS, [], [[]]])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_a_table_comes_back_as_it_was_and_is_mapped(tmp_path, rows, dtype):
    wanted = table(rows, dtype)
    write_table(tmp_path / "a.arrow", wanted.columns(), {"a": 1})
    before = pa.total_allocated_bytes()
    found = TokenTable.of(read_table(tmp_path / "a.arrow", {"a": 1}))
    assert pa.total_allocated_bytes() == before
    assert rows_of(found) == rows
    assert found.values.dtype == dtype
    assert found.cut.tolist() == wanted.cut.tolist()
    assert found.codes.tolist() == wanted.codes.tolist()
    assert found.lengths.tolist() == [len(row) for row in rows]


def test_a_changed_byte_anywhere_is_noticed_or_changes_nothing(tmp_path):
    path = tmp_path / "a.arrow"
    write_table(path, table().columns(), {"a": 1})
    whole = path.read_bytes()
    noticed = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            found = TokenTable.of(read_table(path, {"a": 1}))
        except DamagedCacheError:
            noticed += 1
        else:
            assert rows_of(found) == ROWS
            assert found.codes.tolist() == table().codes.tolist()
    assert noticed > 20
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedCacheError):
            read_table(path, {"a": 1})


def test_a_table_of_other_things_is_not_taken(tmp_path):
    write_table(tmp_path / "a.arrow", table().columns(), {"a": 1})
    with pytest.raises(DamagedCacheError, match="something else"):
        read_table(tmp_path / "a.arrow", {"a": 2})
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "b.arrow", {"a": 1})


# -- the cache -----------------------------------------------------------------------------------


def test_a_cache_is_beside_the_datasets_of_a_workspace(tmp_path):
    split = tmp_path / "datasets" / "toys" / "train.parquet"
    assert cache_root(split) == tmp_path / "cache"
    assert cache_root(tmp_path / "elsewhere" / "toys" / "train.parquet") is None


def test_what_is_there_is_not_made_again_and_what_differs_is(split):
    make = Maker()
    for _ in range(2):
        assert rows_of(get(cache_of(split), make)) == ROWS
    assert make.made == 1
    get(cache_of(split, max_length=32), make)
    get(cache_of(split, content="new rows"), make)
    assert make.made == 3
    # Only what is of the present rows is kept, and nothing else lies about.
    (file,) = (split.parents[2] / "cache").glob("*/*/*")
    assert file == cache_of(split, content="new rows").path


def test_a_damaged_file_is_made_anew(split, caplog):
    make = Maker()
    get(cache_of(split), make)
    path = cache_of(split).path
    path.write_bytes(path.read_bytes()[:100])
    assert rows_of(get(cache_of(split), make)) == ROWS
    assert make.made == 2
    assert "is damaged and is created again" in caplog.text
    get(cache_of(split), make)
    assert make.made == 2


def test_a_dataset_outside_a_workspace_has_its_input_in_memory(tmp_path):
    make = Maker()
    assert rows_of(get(cache_of(tmp_path / "toys" / "train.parquet"), make)) == ROWS
    assert make.folder is None
    assert list(tmp_path.iterdir()) == []


def test_of_two_at_once_one_makes_it_and_the_other_waits(split):
    make = Maker()
    waits: list[int] = []
    found: list[Any] = []
    started = threading.Event()

    def slowly(folder):
        started.set()
        while not waits:
            time.sleep(0.01)
        return make(folder)

    first = threading.Thread(target=lambda: found.append(get(cache_of(split), slowly)))
    first.start()
    started.wait()
    found.append(get(cache_of(split), make, lambda: waits.append(1)))
    first.join()
    assert make.made == 1
    assert [rows_of(one) for one in found] == [ROWS, ROWS]
    assert len(list(split.parents[2].glob("cache/*/*/*"))) == 1


def test_who_waits_can_be_stopped(split):
    class StopError(Exception):
        pass

    def stop():
        raise StopError

    path = cache_of(split).path
    path.parent.mkdir(parents=True)
    with path.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StopError):
            get(cache_of(split), Maker(), stop)
    # And a lock whose holder is gone holds up nobody.
    assert rows_of(get(cache_of(split), Maker(), stop)) == ROWS


def test_nothing_is_left_of_a_making_that_failed(split):
    def fail(folder):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        get(cache_of(split), fail)
    assert list(split.parents[2].glob("cache/*/*/*")) == []


def test_the_longest_unused_make_room_for_the_newest(split):
    paths = []
    for length in (1, 2, 3):
        get(cache_of(split, max_length=length), Maker())
        paths.append(cache_of(split, max_length=length).path)
        os.utime(paths[-1], (length, length))
    get(cache_of(split, max_length=1), Maker())
    # The first is the one used last now.
    size = paths[0].stat().st_size
    bounded = Cache(split, "tokens", "content", {"max_length": 4}, max_bytes=3 * size)
    get(bounded, Maker())
    assert [path.exists() for path in (*paths, bounded.path)] == [True, False, True, True]


def test_what_is_of_a_dataset_that_is_gone_is_removed(split):
    get(cache_of(split), Maker())
    path = cache_of(split).path
    split.parent.rename(split.parent.with_name("renamed"))
    get(cache_of(split.parents[1] / "renamed" / "train.parquet"), Maker())
    assert not path.parent.exists()


def test_a_cache_that_cannot_be_written_is_done_without(split, caplog):
    (split.parents[2] / "cache").write_text("a file where the folder should be")
    make = Maker()
    assert rows_of(get(cache_of(split), make)) == ROWS
    assert make.made == 1
    assert "cannot be stored" in caplog.text


def test_what_cannot_be_published_is_used_all_the_same(split, monkeypatch, caplog):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_module, "write_table", full)
    make = Maker()
    assert rows_of(get(cache_of(split), make)) == ROWS
    assert make.made == 1
    assert "No space left" in caplog.text
    assert list(split.parents[2].glob("cache/*/*/*")) == []


# -- the spool -----------------------------------------------------------------------------------


@pytest.mark.parametrize("in_memory", [False, True])
def test_a_spool_gives_back_what_was_appended(tmp_path, in_memory):
    spool = Spool(None if in_memory else tmp_path, np.int32)
    assert spool.array().tolist() == []
    spool.append(np.arange(5))
    spool.append(np.zeros(0))
    spool.append(np.array([[7, 8]], dtype=np.int64))
    assert spool.array().tolist() == [0, 1, 2, 3, 4, 7, 8]
    assert spool.array().dtype == np.int32
    assert list(tmp_path.iterdir()) == []


def test_what_memory_has_no_room_for_is_refused(monkeypatch):
    monkeypatch.setattr(spool_module, "MEMORY_BYTES", 16)
    spool = Spool(None, np.int32)
    spool.append(np.arange(4))
    with pytest.raises(ResourceExhaustedError, match="make room in the workspace's cache"):
        spool.append(np.arange(1))
