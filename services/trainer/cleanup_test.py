"""What dead processes left goes; what living ones are at stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ktt_core.checkpoints.staging import stage_run
from ktt_core.workspace import Workspace
from trainer.cleanup import clean_up

KILLED = """
import os, signal, sys
from pathlib import Path
from ktt_core.checkpoints.staging import stage_run
with stage_run(Path(sys.argv[1])) as staged:
    (staged.staging / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def kill_a_run(workspace: Workspace, model: str, dataset: str) -> None:
    folder = workspace.weights_folder(model, dataset)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode < 0
    assert list(folder.glob(".tmp-*")) and list(folder.glob(".run-*"))


def test_a_run_that_was_killed_leaves_nothing(workspace: Workspace) -> None:
    kill_a_run(workspace, "model", "one")
    clean_up(workspace)
    assert list(workspace.root.iterdir()) == []


def test_checkpoints_and_living_runs_stay(workspace: Workspace) -> None:
    kept = workspace.weights_folder("model", "one") / "best_2026-01-31T12:34:56.safetensors"
    kept.parent.mkdir(parents=True)
    kept.touch()
    kill_a_run(workspace, "model", "one")
    with stage_run(workspace.weights_folder("model", "two")) as staged:
        (staged.staging / "half").touch()
        clean_up(workspace)
        assert (staged.staging / "half").exists()
        assert (staged.folder / f".run-{staged.time}").exists()
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_a_workspace_that_does_not_exist_is_left_alone(workspace: Workspace) -> None:
    clean_up(workspace)
    assert not workspace.root.exists()
