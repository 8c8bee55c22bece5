"""An evaluation is of the checkpoint asked for, on the split asked for, or says what is missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktt_core.config import build_config
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import CheckpointError, InvalidArgumentError, NotFoundError
from ktt_core.metrics import MetricsAccumulator
from ktt_core.progress import Progress
from ktt_core.registry import get_model
from ktt_models.sklearn import stored
from ktt_models.tfidf_lsgd.tfidf_lsgd import TfidfLSGD
from trainer import Trainer
from trainer.evaluating import evaluate_model
from trainer.specs import EvaluationSpec

T1, T2 = "2026-01-31T12:34:56", "2026-01-31T12:34:57"


def import_rows(trainer: Trainer, name: str, classes: str, val_ratio: float = 0.1) -> None:
    """Import 60 rows whose texts name their class."""
    which = [classes[row % len(classes)] for row in range(60)]
    table = {"text": [f"an {x}{x}{x} row" for x in which], "labels": [["top", x] for x in which]}
    source = trainer.root.parent / "source.parquet"
    pq.write_table(pa.table(table), source)
    trainer.import_dataset(source, name, ImportOptions("text", "labels", val_ratio=val_ratio))


def train(trainer: Trainer, dataset_name: str, *times: str, fingerprint: str = "") -> None:
    """Train tfidf_lsgd in this process, one checkpoint per time."""
    dataset = trainer.workspace.open_dataset(dataset_name)
    model_class = get_model("tfidf_lsgd")
    config = build_config(model_class.config_class, "tfidf_lsgd", {"n_jobs": 1})
    load, preprocessor = model_class.get_dataloader_func(), model_class.get_preprocessor(config)
    model: Any = model_class(dataset.taxonomy, config)
    model.record.fingerprint = fingerprint or dataset.fingerprint
    rows, val = (load(dataset.split(split), preprocessor, config) for split in ("train", "val"))
    for run_time in times:
        folder = trainer.workspace.weights_folder("tfidf_lsgd", dataset_name)
        model.fit(rows, val, best_path=folder / f"best_{run_time}.safetensors")


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Return a trainer with checkpoints on "toy" and on "untested", which has no test rows."""
    trainer = Trainer(tmp_path_factory.mktemp("evaluating") / "workspace")
    import_rows(trainer, "toy", "xy")
    import_rows(trainer, "untested", "xy", val_ratio=0.2)
    train(trainer, "toy", T1, T2)
    train(trainer, "untested", T1)
    return trainer


def test_the_newest_checkpoint_is_evaluated_unless_another_is_asked_for(trainer: Trainer) -> None:
    events: list[Progress] = []
    (newest,) = trainer.evaluate("toy", ["tfidf_lsgd", "tfidf_lsgd"], progress=events.append)
    assert newest.checkpoint.name == f"best_{T2}.safetensors"
    assert events[-1].phase == "test" and events[-1].step == newest.rows == 6
    (oldest,) = trainer.evaluate("toy", ["tfidf_lsgd"], "val", time=T1)
    assert oldest.to_json() == {
        "model": "tfidf_lsgd",
        "dataset": "toy",
        "split": "val",
        "checkpoint": f"best_{T1}.safetensors",
        "rows": 6,
        "seconds": oldest.seconds,
        "texts_per_second": oldest.texts_per_second,
        **oldest.metrics,
    }
    assert oldest.metrics["hierarchical_f1"] == 1.0
    assert oldest.texts_per_second == pytest.approx(6 / oldest.seconds)


def test_a_checkpoint_of_another_import_comes_with_a_warning(tmp_path: Path) -> None:
    trainer = Trainer(tmp_path / "workspace")
    import_rows(trainer, "toy", "xy")
    train(trainer, "toy", T1)
    train(trainer, "toy", T2, fingerprint="of an earlier import")
    (result,) = trainer.evaluate("toy", ["tfidf_lsgd"])
    warning = (
        "trained on another import of 'toy': its test rows may be among the rows it learned from"
    )
    assert result.warnings == result.to_json()["warnings"] == [warning]
    (on_train,) = trainer.evaluate("toy", ["tfidf_lsgd"], "train")
    assert on_train.warnings == ["trained on another import of 'toy'"]
    (same,) = trainer.evaluate("toy", ["tfidf_lsgd"], time=T1)
    assert same.warnings == [] and "warnings" not in same.to_json()


def test_an_evaluation_says_what_is_missing(trainer: Trainer) -> None:
    for arguments, options, error, message in (
        (("nowhere", ["tfidf_lsgd"]), {}, NotFoundError, "no dataset 'nowhere'"),
        (("toy", ["nothing"]), {}, NotFoundError, "no model 'nothing'"),
        (("toy", []), {}, InvalidArgumentError, "at least one model"),
        (("toy", ["tfidf_lsgd"], "dev"), {}, NotFoundError, "no split 'dev'"),
        (("toy", ["tfidf_hsgd"]), {}, NotFoundError, "nothing was trained there yet"),
        (("toy", ["tfidf_lsgd"]), {"label": "last"}, NotFoundError, "keeps only its best state"),
        (("toy", ["tfidf_lsgd"]), {"time": "now"}, InvalidArgumentError, "not a run's time"),
        (("untested", ["tfidf_lsgd"]), {}, InvalidArgumentError, "no rows; others: train"),
    ):
        with pytest.raises(error, match=message):
            trainer.evaluate(*arguments, **options)  # type: ignore[arg-type]


def test_all_checkpoints_are_looked_up_before_one_is_tested(trainer: Trainer) -> None:
    events: list[Progress] = []
    with pytest.raises(NotFoundError):
        trainer.evaluate("toy", ["tfidf_lsgd", "tfidf_hsgd"], progress=events.append)
    assert events == []


def test_a_checkpoint_of_other_classes_is_not_evaluated(trainer: Trainer, tmp_path: Path) -> None:
    other = Trainer(tmp_path / "workspace")
    import_rows(other, "toy", "xyz")
    folder = other.workspace.weights_folder("tfidf_lsgd", "toy")
    folder.mkdir(parents=True)
    file = trainer.list_checkpoints("tfidf_lsgd", "toy")[0].path
    (folder / file.name).write_bytes(file.read_bytes())
    with pytest.raises(CheckpointError, match="another taxonomy than 'toy' has now"):
        other.evaluate("toy", ["tfidf_lsgd"])


def test_the_time_is_that_of_the_answers_without_metrics_and_compilation(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause, calls = 0.5, []

    def slowly(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            calls.append(name)
            time.sleep(pause)
            return method(*arguments)

        return call

    monkeypatch.setattr(stored, "_ROWS_BEFORE_COMPILING", 5)
    compiling = slowly("compile", TfidfLSGD._compile_solver)
    monkeypatch.setattr(TfidfLSGD, "_compile_solver", compiling)
    updating = slowly("metrics", MetricsAccumulator.update)
    monkeypatch.setattr(MetricsAccumulator, "update", updating)
    spec = EvaluationSpec("toy", "tfidf_lsgd")
    result = evaluate_model(trainer.workspace, spec, lambda event: None)
    assert calls == ["compile", "metrics"]
    assert 0.0 < result.seconds < pause
