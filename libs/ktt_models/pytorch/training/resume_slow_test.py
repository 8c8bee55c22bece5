"""A run that is interrupted and continued ends as one that was not: to the last bit."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ktt_core.checkpoints.format import read_arrays
from ktt_core.errors import CheckpointError
from ktt_core.model import Metrics
from ktt_core.progress import Progress
from ktt_models.pytorch.training.sample_run import (
    SampleModel,
    fit_sample,
    make_sample,
    sample_config,
)

# A checkpoint at every step that the disk can keep up with.
CONFIG: dict[str, Any] = {"epochs": 3, "checkpoint_minutes": 1e-9, "patience": 2}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Any:
    # As in the processes that are killed: sums of another number of threads are others.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder)
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> tuple[SampleModel, Metrics, Path]:
    """Return the model, the metrics and the last checkpoint of an uninterrupted run."""
    path = folder / "whole.safetensors"
    model, metrics = fit_sample(folder, sample_config(folder, **CONFIG), path)
    return model, metrics, path


def die(folder: Path, path: Path, **when: Any) -> None:
    job = {"folder": str(folder), "path": str(path), "config": CONFIG, **when}
    done = subprocess.run(
        [sys.executable, "-m", "ktt_models.pytorch.training.sample_run", json.dumps(job)],
        env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def assert_same_run(
    folder: Path, whole: tuple[SampleModel, Metrics, Path], path: Path, **config: Any
) -> None:
    """Continue from a path, and compare all that there is to compare."""
    expected, expected_metrics, expected_path = whole
    model, metrics = fit_sample(
        folder, sample_config(folder, **{**CONFIG, **config}), path, resume_from=path
    )
    assert metrics == expected_metrics
    assert model.temperature == expected.temperature
    assert model.record.history == expected.record.history
    for name, weight in expected.network.state_dict().items():
        assert torch.equal(weight, model.network.state_dict()[name]), name
    metadata, arrays = read_arrays(path, "sample")
    other_metadata, other_arrays = read_arrays(expected_path, "sample")
    assert arrays.keys() == other_arrays.keys()
    for name, array in other_arrays.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)
    assert metadata["training"] == other_metadata["training"]


@pytest.mark.parametrize("at_step", random.Random().sample(range(2, 36), 2))
def test_a_run_killed_at_a_random_step_ends_as_if_nothing_had_happened(
    folder: Path, whole: tuple[SampleModel, Metrics, Path], tmp_path: Path, at_step: int
) -> None:
    path = tmp_path / "last.safetensors"
    die(folder, path, at_step=at_step)
    assert_same_run(folder, whole, path)


def test_a_run_killed_while_it_writes_a_checkpoint_has_the_one_before(
    folder: Path, whole: tuple[SampleModel, Metrics, Path], tmp_path: Path
) -> None:
    path = tmp_path / "last.safetensors"
    arrays = len(read_arrays(whole[2], "sample")[1])
    # Each array is read twice, for the digest and for the file; this is inside the third file.
    die(folder, path, at_write=2 * arrays * 3 - 20)
    assert_same_run(folder, whole, path)


@pytest.mark.parametrize("phase", ["fit", "validate"])
def test_a_run_stopped_by_its_watcher_keeps_its_last_step(
    folder: Path, whole: tuple[SampleModel, Metrics, Path], tmp_path: Path, phase: str
) -> None:
    path = tmp_path / "last.safetensors"
    seen: list[int] = []

    def stop(event: Progress) -> None:
        if event.phase == "fit":
            seen.append(event.step)
        if event.phase == phase and len(seen) == (13 if phase == "validate" else 17):
            raise KeyboardInterrupt

    config = sample_config(folder, **{**CONFIG, "checkpoint_minutes": 60.0})
    with pytest.raises(KeyboardInterrupt):
        fit_sample(folder, config, path, progress=stop)
    assert read_arrays(path, "sample")[0]["training"]["step"] == seen[-1]
    assert_same_run(folder, whole, path)


def test_what_does_not_decide_the_numbers_may_change(
    folder: Path, whole: tuple[SampleModel, Metrics, Path], tmp_path: Path
) -> None:
    path = tmp_path / "last.safetensors"
    die(folder, path, at_step=5)
    assert_same_run(folder, whole, path, checkpoint_minutes=5.0)


def test_a_run_of_other_hyperparameters_is_not_continued(
    folder: Path, whole: tuple[SampleModel, Metrics, Path]
) -> None:
    config = sample_config(folder, **{**CONFIG, "epochs": 4, "seed": 1})
    with pytest.raises(CheckpointError, match=r"epochs \(3 there, 4 here\), seed \(0 there"):
        fit_sample(folder, config, resume_from=whole[2])


def test_a_finished_run_has_nothing_left_to_do(
    folder: Path, whole: tuple[SampleModel, Metrics, Path], tmp_path: Path
) -> None:
    steps: list[Progress] = []
    config = sample_config(folder, **CONFIG)
    model, metrics = fit_sample(folder, config, resume_from=whole[2], progress=steps.append)
    assert metrics == whole[1]
    assert [event.step for event in steps if event.phase == "fit"] == [36]
