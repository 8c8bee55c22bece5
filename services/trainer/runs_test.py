"""A run and the process that started it end together, and leave nothing half-written."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import ConflictError, DataError, ResourceExhaustedError, UnavailableError
from ktt_core.progress import Progress
from trainer import Trainer
from trainer.importing import Imports
from trainer.upload_info import UsedUpload

# Trains for hours, says the run's phases on the way, and ends as a command line would.
PARENT = """
import sys
from pathlib import Path
from trainer import Trainer, TrainRequest

def watch(event):
    if event.progress and event.progress.phase == "fit" and event.progress.step:
        print("fitting", flush=True)

try:
    overrides = {"epochs": 10000, "n_jobs": 1}
    Trainer(Path(sys.argv[1])).train(TrainRequest(("toy",), ("tfidf_hsgd",), overrides), watch)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Return a trainer with the dataset "toy"."""
    folder = tmp_path_factory.mktemp("process")
    table = {
        "text": [f"row number {row}" for row in range(4000)],
        "labels": [["top", "xy"[row % 2]] for row in range(4000)],
    }
    pq.write_table(pa.table(table), folder / "s.parquet")
    trainer = Trainer(folder / "workspace")
    trainer.import_dataset(folder / "s.parquet", "toy", ImportOptions("text", "labels"))
    return trainer


@pytest.fixture
def parent(trainer: Trainer) -> Iterator[subprocess.Popen[str]]:
    """Return a process in the midst of a run."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(trainer.root)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "fitting\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def children_of(pid: int) -> list[int]:
    """Return the processes that a process's main thread started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def eventually(condition: Callable[[], bool]) -> bool:
    """Return whether a condition comes true within some seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_gone(pid: int) -> bool:
    """Return whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def left_over(trainer: Trainer) -> list[str]:
    """Return the names of the files below the weights folder.

    A process killed outright leaves its mark on a second that nobody asks for again; the next run
    removes it.
    """
    files = [path.name for path in trainer.root.glob("weights/**/*") if path.is_file()]
    return [name for name in files if not name.startswith(".run-")]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_ends_both_processes_and_leaves_nothing(
    trainer: Trainer, parent: subprocess.Popen[str]
) -> None:
    (run,) = children_of(parent.pid)
    os.killpg(parent.pid, signal.SIGINT)
    out, err = parent.communicate(timeout=30)
    assert out.splitlines()[-1] == "interrupted"
    assert err == ""
    assert is_gone(run)
    assert left_over(trainer) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_does_not_survive_the_process_that_started_it(
    trainer: Trainer, parent: subprocess.Popen[str]
) -> None:
    (run,) = children_of(parent.pid)
    parent.kill()
    assert eventually(lambda: is_gone(run))
    assert trainer.list_checkpoints() == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_run_that_is_killed_is_told_and_the_process_lives(
    trainer: Trainer, parent: subprocess.Popen[str]
) -> None:
    (run,) = children_of(parent.pid)
    os.kill(run, signal.SIGKILL)
    out, err = parent.communicate(timeout=30)
    assert parent.returncode == 0
    assert "Traceback" not in err
    assert left_over(trainer) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_import_does_not_survive_who_waits_for_it(trainer: Trainer, tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    with source.open("w") as file:
        file.write("text,path\n")
        # More than are imported on a quick machine before it hears of the end.
        file.writelines(f"row number {row},top > {'xy'[row % 2]}\n" for row in range(5_000_000))
    imports = Imports(trainer.workspace)
    run = imports.prepare(
        "big",
        contextlib.nullcontext(UsedUpload(source, lambda: None)),
        ImportOptions("text", "path", sep=" > "),
    )
    before = sorted(trainer.root.glob("datasets/*"))
    seen: list[Progress] = []

    def watch(progress: Progress) -> None:
        seen.append(progress)
        if progress.step:
            run.cancel()

    started = time.monotonic()
    with pytest.raises(UnavailableError, match="cancelled before it was complete"):
        run.run(watch)
    assert time.monotonic() - started < 15
    assert seen
    assert sorted(trainer.root.glob("datasets/*")) == before


def test_imports_have_their_limit_and_their_errors(trainer: Trainer, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("text,path\n,top > x\n")
    source = contextlib.nullcontext(UsedUpload(tmp_path / "bad.csv", lambda: None))
    options = ImportOptions("text", "path", sep=" > ")
    with pytest.raises(ConflictError, match="there is a dataset 'toy' already"):
        Imports(trainer.workspace).prepare("toy", source, options)
    with pytest.raises(ResourceExhaustedError, match="imports are running already"):
        Imports(trainer.workspace, limit=0).prepare("bad", source, options).run(print)
    stopped = Imports(trainer.workspace)
    stopped.stop()
    with pytest.raises(UnavailableError, match="stopping"):
        stopped.prepare("bad", source, options).run(print)
    with pytest.raises(DataError, match="empty text"):
        Imports(trainer.workspace).prepare("bad", source, options).run(print)
    assert not (trainer.root / "datasets/bad").exists()
