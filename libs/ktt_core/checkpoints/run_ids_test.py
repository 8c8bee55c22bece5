"""Runs get their own second; who continues one has it alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from ktt_core.checkpoints.paths import list_checkpoint_files
from ktt_core.checkpoints.run_ids import (
    hold_run_time,
    holder_of,
    reserve_run_time,
    sweep_reservations,
)
from ktt_core.errors import ConflictError, InvalidArgumentError

T1, T2 = "2026-01-31T12:34:56", "2026-01-31T12:34:57"


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
    (tmp_path / f"last_{T1}.pt").touch()
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


def test_marks_that_nobody_holds_are_swept(tmp_path: Path) -> None:
    for second in range(3):
        (tmp_path / f".run-2020-01-01T00:00:0{second}").write_text(str(os.getpid()))
    with hold_run_time(tmp_path, "2020-01-01T00:00:01"):
        sweep_reservations(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [".run-2020-01-01T00:00:01"]
        assert holder_of(tmp_path, "2020-01-01T00:00:01") == str(os.getpid())
        assert holder_of(tmp_path, "2020-01-01T00:00:02") is None
    assert list(tmp_path.iterdir()) == []


def _hold_and_die(folder: Path) -> None:
    hold = hold_run_time(folder, T1)
    hold.__enter__()
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_second_of_a_killed_run_can_be_taken(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(tmp_path,))
    process.start()
    process.join(60)
    assert (tmp_path / f".run-{T1}").exists()
    assert holder_of(tmp_path, T1) is None
    with hold_run_time(tmp_path, T1) as run_time:
        assert run_time == T1


def test_a_second_that_is_held_is_refused_to_others(tmp_path: Path) -> None:
    clock = Clock(1769862896.5)
    with reserve_run_time(tmp_path, clock.now, clock.sleep) as run_time:
        with pytest.raises(ConflictError, match=rf"{run_time}.*another process \({os.getpid()}\)"):
            with hold_run_time(tmp_path, run_time):
                raise AssertionError("two have it")
    with pytest.raises(InvalidArgumentError, match="not a run's time"):
        with hold_run_time(tmp_path, "../x"):
            raise AssertionError("it is no time")


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
