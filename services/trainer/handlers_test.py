"""Runs that end well leave whole files; what cannot run is told before anything does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktt_core import registry
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import (
    InvalidArgumentError,
    KttError,
    NotFoundError,
)
from trainer import RunEvent, Trainer, TrainRequest, run_result

# Says the most frequent path to everything, and misbehaves in `fit` as its hyperparameter says.
MODEL = """
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pydantic
from ktt_core.atomic import atomic_file
from ktt_core.checkpoints.record import RunRecord
from ktt_core.checkpoints.staging import StagedRun
from ktt_core.config import ModelConfig
from ktt_core.errors import DataError
from ktt_core.loader import SplitLoader
from ktt_core.metrics import compute_metrics
from ktt_core.model import Model
from ktt_core.preprocessors import BasePreprocessor
from ktt_core.progress import Progress
from ktt_core.registry import register


class Config(ModelConfig):
    behaviour: str = "ok"
    sign: str = ""
    epochs: int = pydantic.Field(1, ge=1)


class Scripted(Model):
    config_class = Config
    checkpoint_suffix = ".json"

    def __init__(self, taxonomy, config):
        super().__init__(taxonomy, config)
        self.record = RunRecord()
        self.leaf = 0

    @classmethod
    def from_checkpoint(cls, path):
        raise NotImplementedError

    @classmethod
    def get_preprocessor(cls, config):
        return BasePreprocessor()

    @classmethod
    def get_dataloader_func(cls):
        return lambda split, preprocessor, config, shuffle=False: SplitLoader(split, preprocessor,
        16)

    @classmethod
    def get_metrics_func(cls):
        return compute_metrics

    def fit(self, train, val, path=None, best_path=None, resume_from=None, progress=print):
        leaves = np.concatenate([batch.codes[:, -1] for batch in train])
        for epoch in range(self.config.epochs):
            progress(Progress("fit", epoch + 1, self.config.epochs, "epochs"))
        self.leaf = int(np.bincount(leaves).argmax())
        if self.config.behaviour == "half":
            with atomic_file(best_path) as temporary:
                temporary.write_text("{")
                self.hang()
        self.misbehave()
        print("a model may talk")
        metrics = self.test(val) if val.n_rows else {}
        if best_path and self.config.behaviour != "no checkpoint":
            self.save(best_path)
        if self.config.behaviour == "late":
            os.kill(os.getpid(), signal.SIGKILL)
        return metrics

    def misbehave(self):
        behaviour = self.config.behaviour
        if behaviour == "hang":
            self.hang()
        if behaviour == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        if behaviour == "exit":
            os._exit(7)
        if behaviour == "data":
            raise DataError("these rows cannot be used")
        if behaviour == "bug":
            raise ZeroDivisionError("oh")
        if behaviour == "memory":
            raise MemoryError
        if behaviour == "unpublishable":
            StagedRun.publish = self.refuse
        if behaviour == "disk":
            raise OSError(28, "No space left on device", "best.json")

    def refuse(self, *arguments):
        raise OSError(28, "No space left on device", "best.json")

    def hang(self):
        Path(self.config.sign).write_text(str(os.getpid()))
        time.sleep(60)

    def test(self, loader, progress=None, observe=None):
        # The trainer's own test, after `fit`, comes with a callback.
        if progress is not None:
            progress(Progress("test"))
            if self.config.behaviour == "late test":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.config.behaviour == "no metrics":
                return None
            if self.config.behaviour == "not a number":
                return {"leaf_accuracy": float("nan")}
            if self.config.behaviour == "hang in test":
                self.hang()
        codes = np.concatenate([batch.codes for batch in loader])
        levels = self.level_scores({"text": codes})
        if observe is not None:
            observe(levels, codes)
        return compute_metrics(levels[0], codes, self.taxonomy)

    def save(self, path, optim=None):
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps(self.record.to_json()))

    def load(self, path):
        raise NotImplementedError

    def level_scores(self, inputs):
        scores = np.full((len(inputs["text"]), self.taxonomy.n_leaves), -20.0, dtype=np.float32)
        scores[:, self.leaf] = 0.0
        return [scores]

    def gen_reference_set(self, loader):
        import pyarrow as pa

        if self.config.behaviour == "late reference":
            raise ZeroDivisionError("oh")
        return pa.table({"targets": ["x"]})


@register("scripted", display_name="Scripted", framework="stage")
def load():
    return Scripted
"""


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Return a trainer with scripted runs."""
    return make_trainer(tmp_path, monkeypatch)


def make_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Return a trainer with the datasets "toy" and "untested" and the model "scripted"."""
    site = tmp_path / "site"
    info = site / "scripted-1.dist-info"
    info.mkdir(parents=True)
    (site / "scripted_model.py").write_text(MODEL)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[ktt.models]\nscripted = scripted_model\n")
    registry.list_models()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_discovered", False)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "scripted_model", raising=False)
    trainer = Trainer(tmp_path / "workspace")
    for name, test_share in (("toy", 0.1), ("untested", 0.0)):
        make_dataset(trainer, name, test_share)
    return trainer


def make_dataset(trainer: Trainer, name: str, test_share: float) -> None:
    """Import 40 rows over two classes."""
    source = trainer.root.parent / f"{name}.parquet"
    texts = [f"text number {row}" for row in range(40)]
    labels = [["top", "xy"[row % 2]] for row in range(40)]
    pq.write_table(pa.table({"text": texts, "labels": labels}), source)
    options = ImportOptions("text", "labels", train_ratio=0.8, val_ratio=0.2 - test_share)
    trainer.import_dataset(source, name, options)


def request(behaviour: str = "ok", **options: object) -> TrainRequest:
    """Return a request for one run with that behaviour."""
    overrides = {"behaviour": behaviour, **options.pop("overrides", {})}  # type: ignore[dict-item]
    datasets = options.pop("datasets", ("toy",))
    return TrainRequest(datasets, ("scripted",), overrides, **options)  # type: ignore[arg-type]


def weights(trainer: Trainer) -> list[str]:
    """Return the names of all files below the weights folder."""
    return sorted(path.name for path in trainer.root.glob("weights/**/*") if path.is_file())


def contents(trainer: Trainer) -> list[Path]:
    """Return all that is in the workspace but the record of what was done."""
    jobs = trainer.root / "jobs"
    return sorted(
        path for path in trainer.root.rglob("*") if path != jobs and jobs not in path.parents
    )


def test_a_run_leaves_a_checkpoint_with_its_metrics_and_a_reference(trainer: Trainer) -> None:
    events: list[RunEvent] = []
    (result,) = trainer.train(request(reference=True), events.append)
    assert result.error is None and result.details == ""
    assert result.metrics.keys() == {"val", "test"}
    assert result.metrics["test"]["leaf_accuracy"] == 0.5
    assert result.checkpoint is not None and result.reference is not None
    time_of_run = result.checkpoint.name.removeprefix("best_").removesuffix(".json")
    assert result.reference.name == f"last_{time_of_run}_reference.parquet"
    assert result.report is not None and result.report.name == f"last_{time_of_run}_report.html"
    assert result.run_time == time_of_run and not result.resumed
    assert "scripted" in result.report.read_text()
    files = (result.checkpoint, result.reference, result.report)
    assert weights(trainer) == sorted(file.name for file in files)
    record = json.loads(result.checkpoint.read_text())
    assert record["metrics"]["test"] == result.metrics["test"]
    assert record["dataset"]["name"] == "toy"
    assert record["dataset"]["fingerprint"] == trainer.get_dataset("toy").fingerprint
    assert [event.kind for event in events][0] == "started"
    assert events[-1].kind == "finished" and events[-1].result == result
    phases = [event.progress.phase for event in events if event.progress]
    assert phases[0] == "fit" and "reference" in phases
    json.dumps(result.to_json())


def test_a_dry_run_writes_nothing_and_is_kept_nowhere(trainer: Trainer) -> None:
    before = sorted(trainer.root.rglob("*"))
    (result,) = trainer.train(request(dry_run=True))
    assert result.error is None and result.checkpoint is None
    assert result.metrics["test"]["leaf_accuracy"] == 0.5
    assert sorted(trainer.root.rglob("*")) == before


def test_every_other_run_is_kept_with_what_came_of_it(trainer: Trainer) -> None:
    (good,) = trainer.train(request(reference=True))
    trainer.train(request("data", datasets=("untested",)))
    (bad_job, good_job), _ = trainer.jobs.list(kinds=["training"])
    assert good_job.state == "SUCCEEDED" and bad_job.state == "FAILED"
    assert good_job.spec == {
        "dataset": "toy",
        "model": "scripted",
        "hyperparameters": {"behaviour": "ok"},
        "reference_set": True,
        "dry_run": False,
        "resume": False,
        "resume_time": "",
    }
    assert bad_job.labels == {"dataset": "untested", "model": "scripted"}
    assert bad_job.error is not None and bad_job.error.type == "DataError"
    assert good.checkpoint is not None and good_job.result is not None
    assert trainer.root / good_job.result["checkpoint_path"] == good.checkpoint
    assert good_job.result["run_time"] in good.checkpoint.name
    assert run_result(good_job, trainer.root) == good


def test_a_dataset_without_test_rows_has_no_test_metrics(trainer: Trainer) -> None:
    (result,) = trainer.train(request(datasets=("untested",)))
    assert result.error is None
    assert result.metrics.keys() == {"val"}


def test_two_runs_get_two_times(trainer: Trainer) -> None:
    first, second = trainer.train(request()) + trainer.train(request())
    assert first.checkpoint != second.checkpoint
    assert len(trainer.list_checkpoints("scripted", "toy")) == 2


def test_everything_is_checked_before_anything_runs(trainer: Trainer) -> None:
    events: list[RunEvent] = []
    for wrong, error in (
        (request(datasets=("toy", "nowhere")), NotFoundError),
        (request(datasets=("toy", "untested"), reference=True), InvalidArgumentError),
        (request(datasets=("toy", "../../etc/passwd")), InvalidArgumentError),
        (request(overrides={"nonsense": 1}), InvalidArgumentError),
        (request(epochs=0), InvalidArgumentError),
    ):
        with pytest.raises(error):
            trainer.train(wrong, events.append)
    assert events == []
    assert weights(trainer) == []


def test_models_are_listed_without_importing_them(trainer: Trainer) -> None:
    listed = {model.id: model for model in trainer.list_models()}
    assert listed["scripted"].framework == "stage"
    assert "hyperparameters" not in listed["scripted"].to_json()
    names = [field["name"] for field in trainer.get_model("scripted").hyperparameters]
    assert names == ["seed", "behaviour", "sign", "epochs"]
    with pytest.raises(NotFoundError, match="there is no model 'nothing'; there are: .*scripted"):
        trainer.get_model("nothing")


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgumentError, match="is a file"):
        Trainer(tmp_path / "file").list_datasets()


def test_a_workspace_that_cannot_be_written_is_refused(trainer: Trainer) -> None:
    (trainer.root / "weights").write_text("a file where a folder should be")
    with pytest.raises(KttError, match="cannot be written: .*weights") as caught:
        trainer.train(request())
    # As at an import: nothing is wrong with what was asked.
    assert type(caught.value) is KttError


HEAVY = {"google.protobuf", "grpc", "numba", "numpy", "pyarrow", "sklearn", "sqlalchemy", "torch"}


def test_importing_the_trainer_is_light() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from pathlib import Path; from trainer import Trainer; Trainer(Path('x')).list_models()\n"
        f"print({HEAVY!r} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
