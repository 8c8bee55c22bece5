"""Listings show what is there, damaged or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktt_core.checkpoints.format import write_arrays
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import InvalidArgumentError, NotFoundError
from trainer import Trainer

T1, T2 = "2026-01-31T12:34:56", "2026-01-31T12:34:57"


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    """Return a trainer with a ragged dataset and checkpoints of two models."""
    labels = [["a", "b"], ["c"]] * 10
    table = pa.table({"text": [f"row {row}" for row in range(20)], "labels": labels})
    pq.write_table(table, tmp_path / "s.parquet")
    trainer = Trainer(tmp_path / "workspace")
    options = ImportOptions(text="text", classes="labels", depth="max")
    trainer.import_dataset(tmp_path / "s.parquet", "ragged", options)
    metadata = {"model": "tfidf_hsgd", "metrics": {"test": {"hierarchical_f1": 0.5}}}
    weights = trainer.root / "weights"
    write_arrays(weights / "tfidf_hsgd/ragged" / f"best_{T1}.safetensors", metadata, {})
    write_arrays(weights / "tfidf_hsgd/ragged" / f"best_{T2}.safetensors", metadata, {})
    (weights / "tfidf_hsgd/ragged" / f"last_{T1}_reference.parquet").touch()
    (weights / "other/gone").mkdir(parents=True)
    (weights / "other/gone" / f"last_{T1}.pt").write_bytes(b"12345")
    return trainer


def test_a_dataset_tells_its_sizes_without_padding(trainer: Trainer) -> None:
    info = trainer.get_dataset("ragged")
    assert (info.depth, info.level_sizes, info.n_classes, info.n_leaves) == (2, (2, 1), 3, 2)
    assert sum(info.sizes.values()) == 20
    assert info.problem == ""
    assert trainer.list_datasets() == [info]
    json.dumps(info.to_json())


def test_a_damaged_dataset_is_listed_with_its_problem(trainer: Trainer) -> None:
    (trainer.root / "datasets/ragged/test.parquet").unlink()
    (info,) = trainer.list_datasets()
    assert "damaged" in info.problem
    json.dumps(info.to_json())


def test_checkpoints_are_listed_newest_first_with_metrics_and_reference(trainer: Trainer) -> None:
    foreign, newest, oldest = trainer.list_checkpoints()
    assert (foreign.model, foreign.dataset, foreign.label, foreign.bytes) == (
        "other",
        "gone",
        "last",
        5,
    )
    assert foreign.metrics == {}
    assert (newest.time, newest.reference) == (T2, None)
    assert oldest.time == T1 and oldest.reference is not None
    assert oldest.metrics == {"test": {"hierarchical_f1": 0.5}}
    json.dumps([info.to_json() for info in (foreign, newest, oldest)])


def test_a_damaged_checkpoint_is_listed_with_its_problem(trainer: Trainer) -> None:
    path = trainer.list_checkpoints("tfidf_hsgd")[0].path
    path.write_bytes(path.read_bytes()[:30])
    assert "damaged" in trainer.list_checkpoints("tfidf_hsgd")[0].problem
    write_arrays(path, {"model": "tfidf_hsgd"}, {"weights": np.zeros(100)})
    assert trainer.list_checkpoints("tfidf_hsgd")[0].problem == ""
    path.write_bytes(path.read_bytes()[:-1])
    assert "ends inside the array" in trainer.list_checkpoints("tfidf_hsgd")[0].problem


@pytest.mark.parametrize("change", [{"metrics": {"val": 1}}, {"metrics": [1]}, {"dataset": "shop"}])
def test_a_checkpoint_with_a_record_of_nonsense_is_listed_with_its_problem(
    trainer: Trainer, change: dict[str, Any]
) -> None:
    path = trainer.list_checkpoints("tfidf_hsgd")[0].path
    write_arrays(path, {"model": "tfidf_hsgd", **change}, {})
    info = trainer.list_checkpoints("tfidf_hsgd")[0]
    assert "record of the run is damaged" in info.problem and str(path) in info.problem
    assert info.metrics == {}
    json.dumps(info.to_json())


def test_checkpoints_of_one_model_or_dataset(trainer: Trainer) -> None:
    assert {info.model for info in trainer.list_checkpoints(dataset="ragged")} == {"tfidf_hsgd"}
    assert len(trainer.list_checkpoints("other", "gone")) == 1
    assert trainer.list_checkpoints("tfidf_lsgd") == []
    with pytest.raises(NotFoundError, match="there is no model 'nothing'"):
        trainer.list_checkpoints("nothing")
    with pytest.raises(NotFoundError, match="there is no dataset 'nothing'"):
        trainer.list_checkpoints(dataset="nothing")
    with pytest.raises(InvalidArgumentError, match="not a valid dataset name"):
        trainer.list_checkpoints(dataset="*")


def test_an_empty_workspace_has_empty_lists(tmp_path: Path) -> None:
    trainer = Trainer(tmp_path / "nowhere")
    assert trainer.list_datasets() == [] and trainer.list_checkpoints() == []
    assert not (tmp_path / "nowhere").exists()
