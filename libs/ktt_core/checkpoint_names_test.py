"""Runs get their own second, and their checkpoints are found again by label and time."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import pytest

from ktt_core.checkpoint_names import (
    checkpoint_path,
    find_checkpoint,
    list_checkpoint_files,
    reference_path,
    reserve_run_time,
)
from ktt_core.errors import InvalidArgumentError, NotFoundError

T1, T2, T3 = "2026-01-31T12:34:56", "2026-01-31T12:34:57", "2026-02-01T00:00:00"


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).touch()
    return folder


def test_names_are_those_of_the_workspace(tmp_path: Path) -> None:
    assert checkpoint_path(tmp_path, "best", T1, ".pt").name == "best_2026-01-31T12:34:56.pt"
    assert reference_path(tmp_path, T1).name == "last_2026-01-31T12:34:56_reference.parquet"


def test_the_newest_best_is_found_whatever_its_extension(tmp_path: Path) -> None:
    touch(
        tmp_path,
        f"best_{T1}.safetensors",
        f"best_{T2}.pt",
        f"last_{T3}.pt",
        f"last_{T3}_reference.parquet",
    )
    assert find_checkpoint(tmp_path).path.name == f"best_{T2}.pt"
    assert find_checkpoint(tmp_path, "last").path.name == f"last_{T3}.pt"
    assert find_checkpoint(tmp_path, "best", T1).path.name == f"best_{T1}.safetensors"
    assert [(file.label, file.time) for file in list_checkpoint_files(tmp_path)] == [
        ("last", T3),
        ("best", T2),
        ("best", T1),
    ]


def test_files_of_other_kinds_are_no_checkpoints(tmp_path: Path) -> None:
    touch(
        tmp_path,
        f"last_{T1}_reference.parquet",
        f".tmp-1-best_{T1}.pt",
        f"best_{T1}.pt.bak",
        "best.pt",
        f".run-{T1}",
    )
    (tmp_path / f"best_{T2}.pt").mkdir()
    assert list_checkpoint_files(tmp_path) == []


def test_a_missing_checkpoint_lists_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing was trained there yet"):
        find_checkpoint(tmp_path / "nowhere")
    touch(tmp_path, f"best_{T1}.safetensors", f"best_{T2}.safetensors")
    with pytest.raises(NotFoundError, match=f"'best' checkpoint of {T3}.*best {T2}, best {T1}"):
        find_checkpoint(tmp_path, "best", T3)
    with pytest.raises(NotFoundError, match="keeps only its best state.*best"):
        find_checkpoint(tmp_path, "last")


@pytest.mark.parametrize(
    "run_time",
    ["", "yesterday", "../../etc/passwd", "2026-02-30T00:00:00", T1 + "Z", "2026-1-1T1:1:1"],
)
def test_a_time_that_is_none_is_refused(tmp_path: Path, run_time: str) -> None:
    with pytest.raises(InvalidArgumentError, match="not a run's time"):
        find_checkpoint(tmp_path, "best", run_time)


def test_a_label_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="'best' or 'last'"):
        find_checkpoint(tmp_path, "worst")


class Clock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self, moment: float) -> None:
        self.moment = moment

    def now(self) -> float:
        return self.moment

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 1
        self.moment += seconds


def test_a_run_gets_the_current_second(tmp_path: Path) -> None:
    clock = Clock(1769862896.5)
    with reserve_run_time(tmp_path / "weights", clock.now, clock.sleep) as run_time:
        assert run_time == T1
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_taken_second_waits_for_the_next(tmp_path: Path) -> None:
    clock, late = Clock(1769862896.5), Clock(1769862896.5)
    touch(tmp_path, f"last_{T1}.pt")
    with reserve_run_time(tmp_path, clock.now, clock.sleep) as run_time:
        assert run_time == T2
        with reserve_run_time(tmp_path, late.now, late.sleep) as other:
            assert other == "2026-01-31T12:34:58"


def test_a_failed_run_gives_its_second_back(tmp_path: Path) -> None:
    clock = Clock(1769862896.5)
    with pytest.raises(RuntimeError), reserve_run_time(tmp_path, clock.now, clock.sleep):
        raise RuntimeError
    with reserve_run_time(tmp_path, clock.now, clock.sleep) as run_time:
        assert run_time == T1


def test_reservations_of_dead_processes_are_swept(tmp_path: Path) -> None:
    dead = multiprocessing.get_context("spawn").Process(target=time.time)
    dead.start()
    dead.join()
    for name, owner in (
        ("2020-01-01T00:00:00", dead.pid),
        ("2020-01-01T00:00:01", os.getpid()),
        ("2020-01-01T00:00:02", ""),
    ):
        path = tmp_path / f".run-{name}"
        path.write_text(str(owner))
        os.utime(path, (0, 0))
    with reserve_run_time(tmp_path):
        left = sorted(path.name for path in tmp_path.glob(".run-2020*"))
    assert left == [".run-2020-01-01T00:00:01"]


def _reserve_and_write(folder: Path, runs: int) -> None:
    for _ in range(runs):
        with reserve_run_time(folder) as run_time:
            with open(folder / f"best_{run_time}.{os.getpid()}", "x"):
                pass


def test_processes_at_once_never_share_a_second(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_reserve_and_write, args=(tmp_path, 1)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    times = [file.time for file in list_checkpoint_files(tmp_path)]
    assert len(times) == len(set(times)) == 3
