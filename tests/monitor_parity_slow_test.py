"""A bundle's monitor alarms as rarely as it says on the test split's texts, and on others at once.

The reference is one half of the test split, and the other half goes through the bundle's own
service: what differs between the two by rounding alone must not look like drift.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import environment
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder
from ktt_packing.client.environment import make_environment
from monitor_parity import WINDOW, Bundle, Watcher, most_alarms, served_rows, texts_of

DATASET = "shop"
ROWS = {"train": 480, "val": 120, "test": 960}
WINDOWS = 64
BUNDLES = ["tfidf_hsgd", "db_linear", "db_linear int8"]
_THINGS = {
    ("Sport", "Shoes"): ["running shoes", "trail shoes", "football boots"],
    ("Sport", "Balls"): ["football", "basket ball", "tennis ball"],
    ("Music", "Guitars"): ["electric guitar", "acoustic guitar", "bass guitar"],
    ("Music", "Drums"): ["drum kit", "snare drum", "drum sticks"],
    ("Home", "Lamps"): ["desk lamp", "floor lamp", "night light"],
}
OTHERS = [
    f"chapter {number} of a long novel in which nobody of the family ever came home again {number}"
    for number in range(2 * WINDOW)
]


def source(seed: int = 0) -> pa.Table:
    """Return rows of which many have a text that others have, too: a third say nothing but it."""
    rng = np.random.default_rng(seed)
    texts, paths, splits = [], [], []
    for split, count in ROWS.items():
        for _ in range(count):
            path = list(_THINGS)[rng.choice(5, p=[0.4, 0.25, 0.2, 0.1, 0.05])]
            words = [str(rng.choice(_THINGS[path]))]
            if rng.random() < 2 / 3:
                words += map(
                    str, rng.choice(["red", "blue", "new", "old", "large"], rng.integers(1, 4))
                )
                words += [f"no {rng.integers(1000)}"]
            texts.append(" ".join(words))
            paths.append(list(path))
            splits.append(split)
    return pa.table({"text": texts, "path": paths, "split": splits})


def ktt(workspace: Path, *arguments: object) -> None:
    command = [sys.executable, "-m", "cli.main", "--workspace", str(workspace)]
    done = subprocess.run(
        [*command, *map(str, arguments)], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with a model of each kind that is trained, with its reference set."""
    folder = tmp_path_factory.mktemp("parity")
    workspace, table = folder / "workspace", source()
    pq.write_table(table, folder / "shop.parquet")
    columns = ("--text", "text", "--classes", "path", "--split-column", "split")
    ktt(workspace, "data", "import", folder / "shop.parquet", DATASET, *columns)
    encoder = write_tiny_encoder(folder / "tiny", table["text"].to_pylist(), width=64)
    rates = {"encoder_lr": 0.003, "classifier_lr": 0.01, "batch_size": 32, "epochs": 2}
    settings = folder / "hyperparameters.json"
    settings.write_text(json.dumps({"db_linear": rates}))
    given = ("--encoder", encoder, "--hyperparameters", settings, "-r")
    ktt(workspace, "train", DATASET, "-m", "tfidf_hsgd,db_linear", *given)
    return workspace


@pytest.mark.parametrize("name", BUNDLES)
def test_alarms_are_as_rare_as_promised_and_other_texts_alarm_at_once(
    workspace: Path, tmp_path: Path, name: str
) -> None:
    model, _, quantize = name.partition(" ")
    more = ("--quantize", quantize) if quantize else ()
    ktt(workspace, "export", DATASET, "-m", model, "--bento", *more)
    folder = Path(shutil.move(workspace / "build" / f"{model}_{DATASET}", tmp_path / "bundle"))
    bundle = Bundle(folder, make_environment(folder / "inference/requirements.txt"))
    watcher, texts = Watcher(bundle), texts_of(workspace, DATASET)
    assert len(set(texts)) < 0.8 * len(texts) == 0.8 * len(watcher.reference)
    records = watcher.records(served_rows(bundle, [*texts, *OTHERS]))
    found, windows = watcher.count(records[: len(texts)], WINDOWS)
    assert windows >= 60
    assert max(found.values()) <= most_alarms(windows), found
    alarms = [
        any(watcher.alarms(watcher.reference, part).values())
        for part in np.split(records[len(texts) :], 2)
    ]
    assert any(alarms)
    titles = watcher.layout.drift_columns
    assert titles[-1] == "confidence"
    assert ("text length" in titles) == (model == "tfidf_hsgd")
