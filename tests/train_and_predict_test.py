"""From a file to answers through the services: import, train, evaluate, predict, and refuse."""

from __future__ import annotations

import json
import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter import Exporter
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import CheckpointError
from ktt_core.metrics import METRIC_NAMES
from trainer import RunResult, Trainer, TrainRequest

MODELS = ("tfidf_hsgd", "tfidf_lsgd")
WORDS = {
    ("Sport", "Shoes", "Trail"): ["trail shoes", "mountain shoes"],
    ("Sport", "Shoes", "Road"): ["road shoes", "marathon shoes"],
    ("Sport", "Balls"): ["football", "tennis ball", "volley ball"],
    ("Music", "Guitars"): ["electric guitar", "bass guitar", "guitar strings"],
    ("Books",): ["novel", "paperback", "book of poems"],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RunResult]]:
    """Return a workspace where both models were trained on a ragged dataset, and the results."""
    folder = tmp_path_factory.mktemp("services")
    generator = random.Random(0)
    paths = generator.choices(list(WORDS), k=400)
    texts = [f"{generator.choice(WORDS[path])} no {generator.randrange(90)}" for path in paths]
    table = pa.table({"title": texts, "path": [" > ".join(path) for path in paths]})
    pq.write_table(table, folder / "shop.parquet")
    trainer = Trainer(folder / "workspace")
    trainer.import_dataset(
        folder / "shop.parquet", "shop", ImportOptions("title", "path", sep=" > ")
    )
    results = trainer.train(TrainRequest(("shop",), MODELS, reference=True))
    return trainer.root, results


def test_both_models_learn_and_say_how_well(trained: tuple[Path, list[RunResult]]) -> None:
    workspace, results = trained
    assert [result.error for result in results] == [None, None]
    evaluations = Trainer(workspace).evaluate("shop", MODELS)
    for result, evaluation in zip(results, evaluations, strict=True):
        assert set(METRIC_NAMES) <= evaluation.to_json().keys()
        assert evaluation.metrics["hierarchical_f1"] > 0.9
        assert evaluation.metrics == pytest.approx(result.metrics["test"], abs=1e-6)
        assert evaluation.checkpoint == result.checkpoint
        json.dumps([result.to_json(), evaluation.to_json()], allow_nan=False)


def test_texts_get_paths_without_padding(trained: tuple[Path, list[RunResult]]) -> None:
    for model in MODELS:
        answers = Exporter(trained[0]).predict("shop", model, ["a novel", "shoes for a marathon"])
        assert [answer[0].path for answer in answers] == [("Books",), ("Sport", "Shoes", "Road")]


def test_reference_sets_lie_beside_the_checkpoints(trained: tuple[Path, list[RunResult]]) -> None:
    for result in trained[1]:
        assert result.reference is not None and result.checkpoint is not None
        assert result.reference.parent == result.checkpoint.parent
        table = pq.read_table(result.reference)
        assert table.num_rows == Trainer(trained[0]).get_dataset("shop").sizes["test"]
        names = table.column_names
        assert names[:27] == ["targets", *map(str, range(26))]
        assert sorted(names[27:]) == ["Balls", "Books", "Guitars", "Road", "Trail"]
        assert set(table.column("targets").to_pylist()) <= set(names[27:])


class Bomb:
    """Touches a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def test_a_checkpoint_that_must_not_be_loaded_is_refused(
    trained: tuple[Path, list[RunResult]], tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace"
    shutil.copytree(trained[0], workspace)
    hierarchical, flat = (
        next((workspace / "weights" / model / "shop").glob("best_*")) for model in MODELS
    )
    whole = hierarchical.read_bytes()
    hit = tmp_path / "hit"
    for content, message in (
        (whole[: len(whole) // 2], "damaged"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "checksum"),
        (flat.read_bytes(), "of the model 'tfidf_lsgd', not of 'tfidf_hsgd'"),
        (pickle.dumps(Bomb(hit)), "pickle, which may hold code"),
        (b"", "empty"),
    ):
        hierarchical.write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            Exporter(workspace).predict("shop", "tfidf_hsgd", ["a novel"])
        with pytest.raises(CheckpointError, match=message):
            Trainer(workspace).evaluate("shop", ["tfidf_hsgd"])
        assert len(Trainer(workspace).list_checkpoints()) == 2
    assert not hit.exists()


def test_a_dataset_imported_anew_asks_for_training_anew(
    trained: tuple[Path, list[RunResult]], tmp_path: Path
) -> None:
    workspace = tmp_path / "workspace"
    shutil.copytree(trained[0], workspace)
    shutil.rmtree(workspace / "datasets/shop")
    table = pa.table({"text": [f"row {row}" for row in range(20)], "label": list("ab" * 10)})
    pq.write_table(table, tmp_path / "other.parquet")
    trainer = Trainer(workspace)
    trainer.import_dataset(
        tmp_path / "other.parquet", "shop", ImportOptions("text", level_columns=("label",))
    )
    with pytest.raises(CheckpointError, match="another taxonomy than 'shop' has now"):
        trainer.evaluate("shop", ["tfidf_hsgd"])
