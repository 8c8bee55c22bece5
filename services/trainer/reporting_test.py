"""A run's report is of the rows it was judged by, and never costs the run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.workspace import Workspace
from trainer import reporting
from trainer.planning import check
from trainer.specs import TrainingSpec
from trainer.training import RunFiles, run_training

PATHS = {"shoe": "Sport > Shoes", "ball": "Sport > Balls", "drum": "Music > Drums"}


def train(folder: Path, train_ratio: float = 0.6, val_ratio: float = 0.2) -> Path:
    """Train on a tiny shop, and return where its report should be."""
    source = folder / "shop.csv"
    rows = [f"a {word} no {n},{path}" for n in range(20) for word, path in PATHS.items()]
    source.write_text("\n".join(["title,category", *rows]) + "\n")
    options = ImportOptions(
        "title", "category", sep=" > ", train_ratio=train_ratio, val_ratio=val_ratio
    )
    import_dataset(source, Workspace(folder).dataset_folder("shop"), options)
    report = folder / "last_report.html"
    config = {"epochs": 3, "n_jobs": 1, "seed": 5}
    best = folder / "best.safetensors"
    workspace = Workspace(folder)
    planned = check(workspace, TrainingSpec("shop", "tfidf_hsgd", config))
    run_training(workspace, planned, RunFiles(best, report=report))
    assert best.is_file()
    return report


def data_of(report: Path) -> dict[str, Any]:
    page = report.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page)
    assert found
    return json.loads(found[1])


def test_a_report_is_of_the_test_rows(tmp_path):
    report = train(tmp_path)
    data = data_of(report)
    assert data["split"] == "test" and set(data["metrics"]) == {"val", "test"}
    assert data["levels"][0]["rows"] == data["rows"]["test"] > 0
    error = data["metrics"]["test"]["calibration_error"]
    assert data["calibration"]["after"]["error"] == pytest.approx(error, abs=1e-6)
    rare = data["classes"]["rarest"]
    assert sum(entry["train_rows"] for entry in rare) == data["rows"]["train"]
    assert data["checkpoint"] == "best.safetensors" and data["device"].startswith("CPU")
    page = report.read_text(encoding="utf-8")
    assert "shoe no" not in page, "texts of a dataset do not belong into a report"
    assert page.index("<td><code>seed</code></td>") < page.index("All others")


def test_without_test_rows_it_is_of_the_validation_rows(tmp_path):
    data = data_of(train(tmp_path, 0.8, 0.2))
    assert data["split"] == "val" and set(data["metrics"]) == {"val"}
    assert data["levels"][0]["rows"] == data["rows"]["val"] > 0


def test_without_any_rows_to_judge_by_it_says_so(tmp_path):
    report = train(tmp_path, 1.0, 0.0)
    assert "levels" not in data_of(report)
    assert "Nothing is known of how good this model is" in report.read_text(encoding="utf-8")


def test_a_report_that_cannot_be_made_leaves_the_run_as_it_is(tmp_path, monkeypatch, capsys):
    def fail(*arguments: Any) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(reporting, "write_report", fail)
    assert not train(tmp_path).exists()
    assert "the report could not be made" in capsys.readouterr().out
