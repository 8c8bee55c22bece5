"""Several processes that share every batch train the model that one would have trained."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ktt_core.checkpoints.format import read_arrays
from ktt_core.errors import ConflictError, TrainingError
from ktt_core.progress import Progress
from ktt_models.pytorch.training.sample_run import (
    damage_encoder,
    fit_sample,
    make_sample,
    sample_config,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    # Without dropout nothing depends on which process a row is in. 195 rows are no multiple of 16.
    make_sample(folder, rows=244, dropout=0.0)
    return folder


def config(folder: Path, **values: Any) -> Any:
    return sample_config(folder, dropout=0.0, weight_decay=0.1, **values)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def children() -> set[int]:
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return {int(pid) for pid in listed.split()}


def test_two_processes_give_the_metrics_of_one(folder: Path, tmp_path: Path) -> None:
    alone, alone_metrics = fit_sample(folder, config(folder))
    events: list[Progress] = []
    shared, metrics = fit_sample(
        folder, config(folder, processes=2, accumulate=3), tmp_path / "last", progress=events.append
    )
    assert metrics == pytest.approx(alone_metrics, abs=2e-3)
    assert len(shared.record.history) == len(alone.record.history)
    for mine, other in zip(shared.record.history, alone.record.history, strict=True):
        assert mine["loss"] == pytest.approx(other["loss"], rel=1e-3)
    for name, weight in alone.network.state_dict().items():
        np.testing.assert_allclose(shared.network.state_dict()[name], weight, atol=2e-3)
    steps = [event.step for event in events if event.phase == "fit"]
    assert steps == list(range(len(steps)))
    assert not children()
    # The file is one like any other: it can be continued by one process.
    _, again = fit_sample(folder, config(folder, accumulate=3), resume_from=tmp_path / "last")
    assert again == metrics


def test_a_watcher_that_stops_the_run_has_its_last_state_kept(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "last"

    def stop(event: Progress) -> None:
        if event.phase == "fit" and event.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_sample(folder, config(folder, processes=2), path, progress=stop)
    assert not children()
    assert read_arrays(path, "sample")[0]["training"]["step"] >= 4
    _, metrics = fit_sample(folder, config(folder, processes=2), path, resume_from=path)
    _, expected = fit_sample(folder, config(folder))
    assert metrics == pytest.approx(expected, abs=2e-3)


def test_a_process_that_dies_ends_the_run_with_its_reason(folder: Path) -> None:
    def kill_one(event: Progress) -> None:
        if event.phase == "fit" and event.step == 2:
            os.kill(max(children()), signal.SIGKILL)

    with pytest.raises(TrainingError, match="process 2 of the 2 .* killed by signal 9"):
        fit_sample(folder, config(folder, processes=2), progress=kill_one)
    assert not children()


def test_what_goes_wrong_in_a_process_is_told_as_if_it_had_gone_wrong_here(
    folder: Path, tmp_path: Path
) -> None:
    damage_encoder(folder / "encoder", tmp_path / "damaged")
    wild = config(folder, processes=2, encoder=str(tmp_path / "damaged"))
    with pytest.raises(TrainingError, match="diverged at step 1 of .*weights are damaged"):
        fit_sample(folder, wild)
    assert not children()


def test_processes_refuse_a_dataset_that_was_imported_anew_meanwhile(
    tmp_path: Path,
) -> None:
    dataset = make_sample(tmp_path)
    replaced: list[Progress] = []

    def replace(event: Progress) -> None:
        # Before the processes begin, and after this one has opened the rows.
        if event.phase == "tokenize" and not replaced:
            replaced.append(event)
            shutil.rmtree(dataset.folder)
            make_sample(tmp_path, rows=234)

    with pytest.raises(ConflictError, match="imported again just now"):
        fit_sample(tmp_path, config(tmp_path, processes=2), progress=replace)
    assert replaced and not children()


def test_processes_die_with_the_one_that_started_them(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from ktt_models.pytorch.training.sample_run import fit_sample, sample_config\n"
        "folder = Path(sys.argv[1])\n"
        "def tell(event):\n"
        "    print(event.phase, event.step, flush=True)\n"
        "fit_sample(folder, sample_config(folder, processes=2, epochs=1000), progress=tell)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        while parent.stdout.readline().strip() != "fit 3":
            assert parent.poll() is None
        listed = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        assert len(listed) == 2
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 30
    while any(_is_alive(pid) for pid in listed):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_alive(pid: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
