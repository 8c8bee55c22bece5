"""A run that was ended before its time keeps its last state, and goes on from there."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktt_core import registry
from ktt_core.checkpoints.format import read_arrays
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import TrainingError
from trainer import RunEvent, RunResult, Trainer, TrainRequest

# Its weights walk at random, ten steps an epoch; it keeps them at every epoch's end, and when it is
# stopped. What befalls it befalls it before it was continued only.
MODEL = """
import os
import signal
import time

import numpy as np
import pydantic
from ktt_core.checkpoints.format import read_arrays, write_arrays
from ktt_core.checkpoints.record import RunRecord
from ktt_core.checkpoints.staging import StagedRun
from ktt_core.config import ModelConfig, build_config
from ktt_core.errors import TrainingError
from ktt_core.loader import SplitLoader
from ktt_core.metrics import compute_metrics
from ktt_core.model import Model
from ktt_core.preprocessors import BasePreprocessor
from ktt_core.progress import Progress
from ktt_core.registry import register
from ktt_core.taxonomy import Taxonomy

STEPS = 10


class Config(ModelConfig):
    epochs: int = pydantic.Field(3, ge=1)
    pause: float = 0.0
    dies_at: int = 0
    fails_at: int = 0
    dies_publishing: bool = False


class Steady(Model):
    config_class = Config
    checkpoint_suffix = ".safetensors"
    resumable = True

    def __init__(self, taxonomy, config):
        super().__init__(taxonomy, config)
        self.record = RunRecord()
        self.weights = np.zeros(taxonomy.n_leaves)
        self.step = 0

    @classmethod
    def from_checkpoint(cls, path):
        metadata, arrays = read_arrays(path, cls.model_id)
        config = build_config(cls.config_class, cls.model_id, metadata["config"])
        model = cls(Taxonomy.from_json(metadata["taxonomy"]), config)
        model.load(path)
        return model

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
        config, total = self.config, STEPS * self.config.epochs
        if resume_from is not None:
            self.load(resume_from)
        elif config.dies_publishing:
            StagedRun.publish = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
        try:
            progress(Progress("fit", self.step, total, "steps"))
            while self.step < total:
                self.take_step()
                if self.step == config.dies_at and resume_from is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                if self.step == config.fails_at and resume_from is None:
                    raise TrainingError("it diverged")
                if self.step % STEPS == 0:
                    point = {"epoch": self.step // STEPS, "step": self.step, "loss": 1 / self.step}
                    self.record.history.append({key: float(value) for key, value in point.items()})
                    if path:
                        self.save(path)
                figures = {"loss": 1 / self.step, "learning_rate": 1e-4, "texts_per_second": 99.0}
                progress(Progress("fit", self.step, total, "steps", figures))
        except BaseException as error:
            if path and not isinstance(error, TrainingError):
                self.save(path)
            raise
        metrics = self.test(val)
        self.record.metrics = {"val": metrics}
        if best_path:
            self.save(best_path)
        return metrics

    def take_step(self):
        time.sleep(self.config.pause)
        noise = np.random.default_rng([self.config.seed, self.step])
        self.weights += noise.normal(size=len(self.weights))
        self.step += 1

    def test(self, loader, progress=lambda event: None, observe=None):
        codes = np.concatenate([batch.codes for batch in loader])
        levels = self.level_scores({"text": codes})
        if observe is not None:
            observe(levels, codes)
        progress(Progress("test", len(codes), len(codes), "rows"))
        return compute_metrics(levels[0], codes, self.taxonomy)

    def save(self, path, optim=None):
        metadata = {
            "model": self.model_id,
            "config": self.config.model_dump(mode="json"),
            "taxonomy": self.taxonomy.to_json(),
            "step": self.step,
            **self.record.to_json(),
        }
        write_arrays(path, metadata, {"weights": self.weights})

    def load(self, path):
        metadata, arrays = read_arrays(path, self.model_id)
        self.step, self.weights = metadata["step"], np.array(arrays["weights"])
        self.record = RunRecord.from_json(metadata)

    def level_scores(self, inputs):
        scores = np.tile(self.weights - np.logaddexp.reduce(self.weights), (len(inputs["text"]), 1))
        return [scores.astype(np.float32)]

    def gen_reference_set(self, loader):
        import pyarrow as pa

        return pa.table({"targets": ["x"]})


@register("steady", display_name="Steady", framework="stage")
def load():
    return Steady
"""


def add_steady(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the model "steady" in a folder, for this process and those that it starts."""
    info = site / "steady-1.dist-info"
    info.mkdir(parents=True)
    (site / "steady_model.py").write_text(MODEL)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: steady\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[ktt.models]\nsteady = steady_model\n")
    registry.list_models()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_discovered", False)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "steady_model", raising=False)


def import_rows(trainer: Trainer, name: str, rows: int = 40, *, replace: bool = False) -> None:
    """Make a dataset of three classes."""
    source = trainer.root.parent / f"{name}.parquet"
    texts = [f"text number {row}" for row in range(rows)]
    labels = [["top", "xyz"[row % 3]] for row in range(rows)]
    pq.write_table(pa.table({"text": texts, "labels": labels}), source)
    trainer.import_dataset(source, name, ImportOptions("text", "labels"), replace=replace)


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Return a trainer with the datasets "toy" and "other" and the model "steady"."""
    return make_trainer(tmp_path, monkeypatch)


def make_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Return the same, for other files' fixtures."""
    add_steady(tmp_path / "site", monkeypatch)
    trainer = Trainer(tmp_path / "workspace")
    for name in ("toy", "other"):
        import_rows(trainer, name)
    return trainer


def request(*, resume: bool = False, time: str = "", **overrides: Any) -> TrainRequest:
    """Return a request for one run."""
    return TrainRequest(("toy",), ("steady",), overrides, resume=resume, resume_time=time)


def labels_of(trainer: Trainer, time: str = "") -> list[str]:
    """Return what is there of the runs of "steady" on "toy", by the labels of the names."""
    folder = trainer.root / "weights/steady/toy"
    names = [path.name for path in folder.glob("*") if time in path.name]
    return sorted({name.replace("_report", ".report").partition("_")[0] for name in names})


def weights_of(path: Path) -> Any:
    return read_arrays(path, "steady")[1]["weights"]


def interrupt(trainer: Trainer, at: int, **overrides: Any) -> list[RunEvent]:
    """Begin a run and interrupt it at a step; return what was told of it."""
    events: list[RunEvent] = []

    def watch(event: RunEvent) -> None:
        events.append(event)
        if event.progress and event.progress.phase == "fit" and event.progress.step >= at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.train(request(pause=0.05, **overrides), watch)
    return events


def uninterrupted(trainer: Trainer, **overrides: Any) -> RunResult:
    (result,) = trainer.train(request(**overrides))
    assert result.error is None and not result.resumed
    return result


def assert_same_run(left: RunResult, right: RunResult) -> None:
    """Check that two runs came to the same, to the last bit."""
    assert left.error is None and right.error is None
    assert left.metrics == right.metrics and left.metrics.keys() == {"val", "test"}
    assert left.checkpoint is not None and right.checkpoint is not None
    assert np.array_equal(weights_of(left.checkpoint), weights_of(right.checkpoint))


def test_an_interrupted_run_keeps_its_state_and_comes_to_the_same_numbers(trainer: Trainer) -> None:
    events = interrupt(trainer, at=4)
    (last,) = (trainer.root / "weights/steady/toy").iterdir()
    assert last.name.startswith("last_")
    assert 4 <= read_arrays(last, "steady")[0]["step"] < 30
    notice = next(event.message for event in events if event.kind == "notice")
    assert "finishes its step and saves its state" in notice
    (job,), _ = trainer.jobs.list(kinds=["training"])
    assert job.state == "CANCELLED"
    (result,) = trainer.train(request(resume=True))
    assert result.resumed and result.run_time in last.name
    assert labels_of(trainer) == ["best", "last"]
    assert {path.name for path in last.parent.iterdir()} == {
        f"best_{result.run_time}.safetensors",
        last.name,
        f"last_{result.run_time}_report.html",
    }
    assert_same_run(result, uninterrupted(trainer, pause=0.05))


def test_a_run_that_is_killed_says_how_to_continue_it(trainer: Trainer) -> None:
    (killed,) = trainer.train(request(dies_at=17))
    assert isinstance(killed.error, TrainingError)
    for words in ("SIGKILL", "memory", "batch_size", "ktt train toy -m steady --resume"):
        assert words in str(killed.error)
    assert labels_of(trainer) == ["last"]
    (result,) = trainer.train(request(resume=True))
    assert result.resumed
    assert_same_run(result, uninterrupted(trainer))


def test_a_run_that_is_killed_before_it_kept_anything_leaves_nothing(trainer: Trainer) -> None:
    (killed,) = trainer.train(request(dies_at=3))
    assert "--resume" not in str(killed.error)
    assert not (trainer.root / "weights").exists()


def test_a_run_that_fails_keeps_its_last_good_state(trainer: Trainer) -> None:
    (failed,) = trainer.train(request(fails_at=25))
    assert "it diverged; its last state is kept" in str(failed.error)
    (info,) = trainer.list_checkpoints("steady", "toy")
    assert (info.label, info.run_state) == ("last", "unfinished")
    assert (info.epochs_done, info.epochs) == (2.0, 3.0)
    evaluated = trainer.evaluate("toy", ["steady"], label="last")
    assert evaluated[0].metrics["leaf_accuracy"] >= 0


def test_a_run_that_is_killed_while_it_is_published_is_published_once(trainer: Trainer) -> None:
    (killed,) = trainer.train(request(dies_publishing=True))
    assert isinstance(killed.error, TrainingError)
    assert labels_of(trainer) == ["last"]
    (result,) = trainer.train(request(resume=True))
    assert_same_run(result, uninterrupted(trainer))
    assert [info.run_state for info in trainer.list_checkpoints()] == ["finished"] * 4


def eventually(condition: Callable[[], object], seconds: float = 30) -> bool:
    """Return whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
