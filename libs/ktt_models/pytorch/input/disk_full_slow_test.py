"""Training goes on without a cache where the disk is full, and a killed process leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import ResourceExhaustedError
from ktt_core.preprocessors import TransformerPreprocessor
from ktt_core.workspace import Workspace
from ktt_models.pytorch.encoders.tiny import write_tiny_tokenizer
from ktt_models.pytorch.input import spool
from ktt_models.pytorch.input.features import FeatureLoader
from ktt_models.pytorch.input.loader import EncoderLoader
from ktt_models.pytorch.input.tokens import TokenSource

# Some blocks of what is tokenised at once.
_MANY_ROWS = 20_000
_SIZE = 8 << 20


def write_workspace(folder, rows=9_000):
    """Import a dataset whose ids take 98 bytes a row."""
    lines = [f"red shoe {row} " + "oak " * 45 + f",l{row % 3}" for row in range(rows)]
    (folder / "rows.csv").write_text("text,leaf\n" + "\n".join(lines))
    options = ImportOptions("text", level_columns=("leaf",), train_ratio=0.98, val_ratio=0.01)
    import_dataset(folder / "rows.csv", folder / "datasets" / "toys", options)
    (folder / "rows.csv").unlink()
    write_tiny_tokenizer(folder / "tokenizer", ["red shoe oak 0123456789"])


def make_loader(folder, batch_size=16):
    split = Workspace(folder).open_dataset("toys").split("train")
    preprocessor = TransformerPreprocessor(folder / "tokenizer", 64)
    return EncoderLoader(TokenSource(split, preprocessor), batch_size, 0)


def checksum(loader):
    """Read a whole pass."""
    return sum(int(batch.inputs["input_ids"].sum()) for batch in loader)


@pytest.fixture
def disk(tmp_path):
    """Return a folder on a disk of 8 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small disk takes more rights")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def leave(disk, size):
    """Leave so many bytes free."""
    state = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(max(0, state.f_bavail * state.f_frsize - size)))


def cached(folder):
    return [path for path in folder.glob("cache/*/*/*") if path.is_file()]


@pytest.mark.parametrize("room", [0, 100_000, 850_000, 1_500_000])
def test_a_disk_that_fills_up_while_ids_are_made_stops_nothing(disk, room):
    write_workspace(disk)
    leave(disk, room)
    loader = make_loader(disk)
    batches = list(loader)
    assert sum(len(batch.rows) for batch in batches) == loader.n_rows
    assert cached(disk) == []
    (disk / "ballast").unlink()
    again = make_loader(disk)
    again.prepare()
    assert len(cached(disk)) == 1
    assert checksum(again) == sum(int(batch.inputs["input_ids"].sum()) for batch in batches)


def test_features_that_fit_nowhere_are_refused_with_what_to_do(disk, monkeypatch):
    write_workspace(disk)
    tokens = make_loader(disk)
    tokens.prepare()
    leave(disk, 1 << 20)
    monkeypatch.setattr(spool, "MEMORY_BYTES", 2 << 20)

    def encode(inputs):
        return np.zeros((len(inputs["input_ids"]), 384), np.float32)

    loader = FeatureLoader(tokens, encode, "sha256:x", 384, 1_000)
    with pytest.raises(ResourceExhaustedError, match="make room"):
        loader.prepare()
    assert len(cached(disk)) == 1
    # The token ids are still there.
    assert len(list(tokens)) == len(tokens)


_PROGRAM = """
import sys
from pathlib import Path
from ktt_models.pytorch.input.disk_full_slow_test import checksum, make_loader

def tell(event):
    print(event.step, flush=True)

if __name__ == "__main__":
    loader = make_loader(Path(sys.argv[1]))
    loader.prepare(tell)
    print("done", checksum(loader), flush=True)
"""


def start(folder):
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_a_killed_process_leaves_nothing_that_stands_in_the_way(tmp_path):
    write_workspace(tmp_path, _MANY_ROWS)
    process = start(tmp_path)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) > 0:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert [path.suffix for path in cached(tmp_path)] in ([], [".lock"])
    started = time.monotonic()
    make_loader(tmp_path).prepare()
    assert time.monotonic() - started < 30
    assert [path.suffix for path in cached(tmp_path)] == [".arrow"]


def test_two_processes_at_once_read_the_same(tmp_path):
    write_workspace(tmp_path, _MANY_ROWS)
    processes = [start(tmp_path), start(tmp_path)]
    outputs = [process.communicate(timeout=120)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0][-1] == outputs[1][-1]
    assert outputs[0][-1].startswith("done")
    # One of them made the ids, and the other read or waited.
    made = [any(0 < int(line) for line in lines[:-1]) for lines in outputs]
    assert sorted(made) == [False, True]
    assert [path.suffix for path in cached(tmp_path)] == [".arrow"]
