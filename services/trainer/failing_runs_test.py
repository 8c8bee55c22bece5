"""Runs that end badly, or not at all, leave nothing and stop no other."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ktt_core.errors import DataError, ResourceExhaustedError, TrainingError, UnsupportedError
from trainer import RunEvent, Trainer
from trainer.handlers_test import contents, make_trainer, request, weights


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Return a trainer with scripted runs."""
    return make_trainer(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("behaviour", "kind", "message"),
    [
        ("killed", TrainingError, "killed by SIGKILL.*memory"),
        ("segfault", TrainingError, "killed by SIGSEGV.*compiled code"),
        ("exit", TrainingError, "exit code 7"),
        ("data", DataError, "^these rows cannot be used$"),
        ("bug", UnsupportedError, "the model 'scripted' failed .*: ZeroDivisionError: oh"),
        ("no checkpoint", UnsupportedError, "scripted wrote no checkpoint: its fit must"),
        ("memory", ResourceExhaustedError, "out of memory"),
        ("disk", ResourceExhaustedError, "No space left on device"),
    ],
)
def test_a_run_that_fails_is_a_result_and_the_next_one_runs(
    trainer: Trainer, behaviour: str, kind: type[Exception], message: str
) -> None:
    events: list[RunEvent] = []
    results = trainer.train(request(behaviour, datasets=("toy", "untested")), events.append)
    assert [type(result.error) for result in results] == [kind, kind]
    with pytest.raises(kind, match=message):
        raise results[0].error  # type: ignore[misc]
    assert "Traceback" not in str(results[0].error)
    assert ("Traceback" in results[0].details) == (behaviour in ("bug", "memory", "disk"))
    assert [event.kind for event in events if event.kind != "progress"] == ["started", "failed"] * 2
    assert weights(trainer) == []
    assert trainer.list_checkpoints() == []


@pytest.mark.parametrize(
    ("behaviour", "returned"), [("no metrics", "None"), ("not a number", "{.*nan}")]
)
def test_what_a_test_returns_are_metrics_or_the_run_fails(
    trainer: Trainer, behaviour: str, returned: str
) -> None:
    (result,) = trainer.train(request(behaviour))
    with pytest.raises(UnsupportedError, match=f"scripted: test returned {returned}, which are no"):
        raise result.error  # type: ignore[misc]
    assert weights(trainer) == []


@pytest.mark.parametrize("behaviour", ["late", "late test", "late reference"])
def test_a_run_that_dies_after_its_checkpoint_was_written_leaves_the_workspace_as_it_was(
    trainer: Trainer, behaviour: str
) -> None:
    before = contents(trainer)
    (result,) = trainer.train(request(behaviour, reference=True))
    # A mistake in the model's code ends the last of them; the others are killed.
    reason = UnsupportedError if behaviour == "late reference" else TrainingError
    assert isinstance(result.error, reason)
    assert result.checkpoint is None and result.reference is None
    assert contents(trainer) == before


def test_a_run_that_fails_leaves_the_runs_before_it(trainer: Trainer) -> None:
    trainer.train(request(reference=True))
    before = contents(trainer)
    trainer.train(request("late test", reference=True))
    assert contents(trainer) == before
    assert len(trainer.list_checkpoints()) == 1


def test_a_run_that_is_interrupted_while_it_tests_leaves_the_workspace_as_it_was(
    trainer: Trainer, tmp_path: Path
) -> None:
    before, sign = contents(trainer), tmp_path / "sign"

    def watch(event: RunEvent) -> None:
        if event.progress and event.progress.phase == "test":
            wait_for(sign)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.train(request("hang in test", overrides={"sign": str(sign)}), watch)
    assert is_gone(int(sign.read_text()))
    assert contents(trainer) == before


def test_a_checkpoint_that_cannot_be_published_is_a_failed_run(trainer: Trainer) -> None:
    before = contents(trainer)
    (result,) = trainer.train(request("unpublishable", reference=True))
    assert isinstance(result.error, TrainingError) and "No space left" in str(result.error)
    assert result.checkpoint is None and contents(trainer) == before


def wait_for(sign: Path) -> int:
    """Return the process id that a hanging run writes."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if sign.exists() and sign.read_text():
            return int(sign.read_text())
        time.sleep(0.02)
    raise AssertionError("the run did not begin to hang")


def is_gone(pid: int) -> bool:
    """Return whether a process ends within some seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_an_exception_of_the_watcher_stops_the_run(trainer: Trainer, tmp_path: Path) -> None:
    sign = tmp_path / "sign"

    def watch(event: RunEvent) -> None:
        if event.kind == "progress":
            wait_for(sign)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.train(request("half", overrides={"sign": str(sign)}), watch)
    assert is_gone(int(sign.read_text()))
    assert weights(trainer) == []
