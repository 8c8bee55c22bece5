"""A killed import leaves the old dataset, the new one, or nothing; never a partial one."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktt_core.atomic import TEMPORARY_PREFIX
from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions

ROWS = 30_000

_CONTEXT = multiprocessing.get_context("spawn")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "a.parquet"
    generator = np.random.default_rng(0)
    texts = [f"some words {number}" for number in generator.integers(0, 10**9, ROWS)]
    names = [str(number) for number in generator.integers(0, 50, ROWS)]
    pq.write_table(pa.table({"text": texts, "name": names}), path)
    return path


def _options(seed: int) -> ImportOptions:
    return ImportOptions("text", level_columns=("name",), seed=seed)


def _import(source: Path, folder: Path, seed: int, started: Event) -> None:
    started.set()
    import_dataset(source, folder, _options(seed), replace=True)


def _import_and_die(source: Path, folder: Path, step: int) -> None:
    """Import, and get killed at the `step`-th call that accesses the disk."""
    calls = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def with_count(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            result = call(*arguments, **options)
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return with_count

    for name in ("mkdir", "fsync", "open", "unlink", "rmdir", "rename"):
        setattr(os, name, counted(getattr(os, name)))
    import_dataset(source, folder, _options(step), replace=True)


def _assert_whole(folder: Path, seeds: set[int]) -> None:
    dataset = Dataset.open(folder)
    assert dataset.options["seed"] in seeds
    rows = [len(dataset.split(name).texts()) for name in ("train", "val", "test")]
    assert sum(rows) == ROWS
    assert sum(len(dataset.split(name).codes()) for name in ("train", "val", "test")) == ROWS


def _finish(process: Any) -> None:
    process.join(120)
    assert not process.is_alive()


@pytest.mark.parametrize("old", [False, True], ids=["new", "replaced"])
def test_killed_at_every_call_that_reaches_the_disk(
    tmp_path: Path, source: Path, old: bool
) -> None:
    folder = tmp_path / "datasets" / "toys"
    step, died = 0, True
    while died:
        step += 1
        if old and not folder.exists():
            import_dataset(source, folder, _options(0))
        process = _CONTEXT.Process(target=_import_and_die, args=(source, folder, step))
        process.start()
        _finish(process)
        died = process.exitcode == -signal.SIGKILL
        assert died or process.exitcode == 0
        if old or folder.exists():
            _assert_whole(folder, set(range(step + 1)))
        if not old and folder.exists() and died:
            # Published already; start the next round without a dataset.
            folder.rename(tmp_path / f"published-{step}")
    # Every step was reached, and the imports in between removed the leftovers.
    assert step > 8
    _assert_whole(folder, {step})
    assert not list(folder.parent.glob(f"{TEMPORARY_PREFIX}*"))


@pytest.mark.parametrize("old", [False, True], ids=["new", "replaced"])
def test_killed_at_random_moments(tmp_path: Path, source: Path, old: bool) -> None:
    folder = tmp_path / "datasets" / "toys"
    begun = time.monotonic()
    import_dataset(source, tmp_path / "measured", _options(0))
    seconds = time.monotonic() - begun
    if old:
        import_dataset(source, folder, _options(0))
    delays = random.Random(0)
    for seed in range(1, 9):
        started = _CONTEXT.Event()
        process = _CONTEXT.Process(target=_import, args=(source, folder, seed, started))
        process.start()
        assert started.wait(120)
        time.sleep(delays.uniform(0, 1.2 * seconds))
        process.kill()
        _finish(process)
        if old or folder.exists():
            _assert_whole(folder, set(range(seed + 1)))
    import_dataset(source, folder, _options(9), replace=True)
    _assert_whole(folder, {9})
    assert [path.name for path in folder.parent.iterdir()] == ["toys"]
