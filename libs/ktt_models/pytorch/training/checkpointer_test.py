"""Checkpoints beside a run: none is lost, none stalls it, and a full disk is told."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktt_core.checkpoints.format import read_arrays
from ktt_models.pytorch.training import checkpointer as module
from ktt_models.pytorch.training.checkpointer import Checkpointer, Snapshot


def snapshot(number: int) -> Snapshot:
    return {"model": "m", "number": number}, {"x": np.full(3, number)}


def test_the_last_one_waited_for_is_there(tmp_path: Path) -> None:
    checkpointer = Checkpointer(tmp_path / "last", 1.0)
    assert checkpointer.kept is None
    checkpointer.keep(lambda: snapshot(1))
    checkpointer.keep(lambda: snapshot(2), wait=True)
    assert read_arrays(tmp_path / "last", "m")[0]["number"] == 2
    assert checkpointer.kept == tmp_path / "last"
    checkpointer.close()


def test_while_one_is_written_another_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, written = threading.Event(), []

    def slow(path: Path, metadata: Any, arrays: Any) -> None:
        release.wait(20)
        written.append(metadata["number"])

    monkeypatch.setattr(module, "write_arrays", slow)
    checkpointer = Checkpointer(tmp_path / "last", 1.0)
    for number in (1, 2, 3):
        checkpointer.keep(lambda number=number: snapshot(number))  # type: ignore[misc]
    release.set()
    checkpointer.keep(lambda: snapshot(4), wait=True)
    assert written == [1, 4]


def test_a_write_that_fails_is_told_at_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, metadata: Any, arrays: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_arrays", full)
    checkpointer = Checkpointer(tmp_path / "last", 1.0)
    checkpointer.keep(lambda: snapshot(1))
    with pytest.raises(OSError, match="No space left"):
        checkpointer.close()
    checkpointer.close()


def test_it_is_time_when_the_minutes_are_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    checkpointer = Checkpointer(tmp_path / "last", 2.0)
    assert not checkpointer.due
    now[0] = 120.0
    assert checkpointer.due
    checkpointer.keep(lambda: snapshot(1), wait=True)
    assert not checkpointer.due


def test_a_dry_run_writes_nothing() -> None:
    checkpointer = Checkpointer(None, 1e-9)
    checkpointer.keep(lambda: snapshot(1), wait=True)
    assert not checkpointer.due and checkpointer.kept is None
