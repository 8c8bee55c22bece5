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
from ktt_core.checkpoint import read_arrays
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import (
    CheckpointError,
    ConflictError,
    FailedPreconditionError,
    InvalidArgumentError,
    InvalidConfigError,
    KttError,
    NotFoundError,
    NothingToResumeError,
    TrainingError,
)
from ktt_core.run_times import hold_run_time
from trainer import RunEvent, RunResult, Trainer, TrainRequest

# Its weights walk at random, ten steps an epoch; it keeps them at every epoch's end, and when it is
# stopped. What befalls it befalls it before it was continued only.
MODEL = """
import os
import signal
import time

import numpy as np
import pydantic
from ktt_core.checkpoint import read_arrays, write_arrays
from ktt_core.checkpoint_record import RunRecord
from ktt_core.checkpoint_staging import StagedRun
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
    assert "finishes its step and keeps its state" in notice
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


def test_the_newest_unfinished_run_is_continued_or_that_of_a_time(trainer: Trainer) -> None:
    times = []
    for seed in (1, 2):
        trainer.train(request(seed=seed, fails_at=15))
        times.append(sorted(info.time for info in trainer.list_checkpoints())[-1])
    finished = uninterrupted(trainer, seed=3)
    (first,) = trainer.train(request(resume=True, time=times[0]))
    (second,) = trainer.train(request(resume=True))
    assert [first.run_time, second.run_time] == times
    assert_same_run(first, uninterrupted(trainer, seed=1))
    with pytest.raises(NothingToResumeError, match=f"{finished.run_time} is finished"):
        trainer.train(request(resume=True, time=finished.run_time))
    with pytest.raises(NothingToResumeError, match="no run of steady on toy.*is finished"):
        trainer.train(request(resume=True))


def test_other_hyperparameters_are_named_and_the_same_are_no_matter(trainer: Trainer) -> None:
    trainer.train(request(fails_at=15, seed=7))
    with pytest.raises(InvalidConfigError, match=r"seed = 7 \(not 8\), epochs = 3 \(not 4\)") as e:
        trainer.train(request(resume=True, seed=8, epochs=4, fails_at=15))
    assert [field for field, _ in e.value.violations] == [
        "hyperparameters.seed",
        "hyperparameters.epochs",
    ]
    (result,) = trainer.train(request(resume=True, seed=7, epochs=3))
    assert_same_run(result, uninterrupted(trainer, seed=7))


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        (request(resume=True), NothingToResumeError, "none has been begun"),
        (request(resume=True, time="2020-01-31T12:34:56"), NotFoundError, "2020-01-31T12:34:56"),
        (request(resume=True, time="yesterday"), InvalidArgumentError, "not a run's time"),
        (request(time="2020-01-31T12:34:56"), InvalidArgumentError, "needs --resume"),
        (
            TrainRequest(("toy",), ("steady",), resume=True, dry_run=True),
            InvalidArgumentError,
            "leave out --dry-run or --resume",
        ),
        (
            TrainRequest(("toy",), ("tfidf_hsgd",), resume=True),
            NothingToResumeError,
            "tfidf_hsgd cannot be continued",
        ),
        (
            TrainRequest(
                ("toy", "other"), ("steady",), resume=True, resume_time="2020-01-31T12:34:56"
            ),
            InvalidArgumentError,
            "a time names one run",
        ),
    ],
)
def test_what_cannot_be_continued_is_told(
    trainer: Trainer, wanted: TrainRequest, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        trainer.train(wanted)
    assert trainer.list_checkpoints() == []


def test_a_dataset_that_has_changed_ends_its_runs(trainer: Trainer) -> None:
    trainer.train(request(fails_at=15))
    import_rows(trainer, "toy", 43, replace=True)
    with pytest.raises(FailedPreconditionError, match="imported anew since"):
        trainer.train(request(resume=True))


def test_a_run_is_continued_by_one_process(trainer: Trainer) -> None:
    trainer.train(request(fails_at=15))
    (info,) = trainer.list_checkpoints()
    with hold_run_time(info.path.parent, info.time):
        assert [info.run_state for info in trainer.list_checkpoints()] == ["running"]
        with pytest.raises(ConflictError, match=f"{info.time} goes on in process"):
            trainer.train(request(resume=True))
    (result,) = trainer.train(request(resume=True))
    assert result.error is None


def test_a_damaged_state_is_told(trainer: Trainer) -> None:
    trainer.train(request(fails_at=15))
    (info,) = trainer.list_checkpoints()
    info.path.write_bytes(info.path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="is damaged"):
        trainer.train(request(resume=True))


def test_of_several_those_with_nothing_to_continue_are_left_out(trainer: Trainer) -> None:
    trainer.train(request(fails_at=15))
    events: list[RunEvent] = []
    wanted = TrainRequest(("other", "toy"), ("tfidf_hsgd", "steady"), resume=True)
    (result,) = trainer.train(wanted, events.append)
    assert result.error is None and (result.dataset, result.model) == ("toy", "steady")
    notices = [event for event in events if event.kind == "notice"]
    left_out = [(event.run.dataset, event.run.model) for event in notices]
    assert left_out == [("other", "tfidf_hsgd"), ("other", "steady"), ("toy", "tfidf_hsgd")]
    assert {event.run.total for event in events} == {1}
    with pytest.raises(NothingToResumeError) as none:
        trainer.train(wanted)
    assert len(str(none.value).splitlines()) == 4


def eventually(condition: Callable[[], object], seconds: float = 30) -> bool:
    """Say whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_errors_are_such_that_a_user_can_mend() -> None:
    assert issubclass(NothingToResumeError, FailedPreconditionError)
    assert issubclass(NothingToResumeError, KttError)
