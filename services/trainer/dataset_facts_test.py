"""Facts of datasets are read once, and again when the dataset is another."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import DataError, NotFoundError
from ktt_core.workspace import Workspace
from trainer import Trainer
from trainer.dataset_facts import DatasetFacts, dataset_facts


def make(folder: Path, rows: int, *, replace: bool = False) -> Workspace:
    source = folder / "rows.csv"
    lines = [f"text {n},leaf {n % 3},train" for n in range(rows)]
    source.write_text("\n".join(["text,leaf,split", *lines, "other,leaf 0,test"]) + "\n")
    options = ImportOptions(text="text", level_columns=("leaf",), split_column="split")
    trainer = Trainer(folder / "workspace")
    trainer.import_dataset(source, "shop", options, replace=replace)
    return trainer.workspace


def test_a_dataset_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = make(tmp_path, 9)
    fingerprint = workspace.open_dataset("shop").fingerprint
    assert dataset_facts(workspace, "shop") == DatasetFacts(9, 1, 3, fingerprint)
    monkeypatch.setattr(Dataset, "open", lambda folder: pytest.fail("opened again"))
    assert dataset_facts(workspace, "shop") == DatasetFacts(9, 1, 3, fingerprint)


def test_a_dataset_in_its_place_is_seen(tmp_path: Path) -> None:
    workspace = make(tmp_path, 9)
    dataset_facts(workspace, "shop")
    make(tmp_path, 12, replace=True)
    assert dataset_facts(workspace, "shop").train_rows == 12


def test_a_dataset_that_goes_or_breaks_is_noticed(tmp_path: Path) -> None:
    workspace = make(tmp_path, 9)
    dataset_facts(workspace, "shop")
    folder = workspace.dataset_folder("shop")
    (folder / "test.parquet").unlink()
    with pytest.raises(DataError, match="test.parquet"):
        dataset_facts(workspace, "shop")
    shutil.rmtree(folder)
    with pytest.raises(NotFoundError, match="no dataset 'shop'"):
        dataset_facts(workspace, "shop")
