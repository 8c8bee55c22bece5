"""A request that is repeated gets its job, whatever has become of what the job needed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ktt_core.errors import AlreadyExistsError, NotFoundError
from ktt_jobs import JobService
from trainer.conftest import import_shop
from trainer.handlers import jobs_folder
from trainer.server import TrainerServer
from trainer.specs import EVALUATION, TASKS, TRAINING, EvaluationSpec, TrainingSpec


@pytest.fixture
def trainer(tmp_path: Path) -> TrainerServer:
    """Return a trainer whose jobs wait for ever, with the dataset "shop"."""
    workspace = tmp_path / "workspace"
    import_shop(workspace, count=30)
    return TrainerServer(workspace, JobService(jobs_folder(workspace), TASKS))


def test_a_training_is_repeated_without_its_dataset(trainer: TrainerServer) -> None:
    spec = TrainingSpec("shop", "tfidf_hsgd", {"epochs": 1})
    job = trainer.submit(TRAINING, spec, "once")
    shutil.rmtree(trainer.root / "datasets/shop")
    assert trainer.submit(TRAINING, spec, "once").id == job.id
    with pytest.raises(NotFoundError):
        trainer.submit(TRAINING, spec, "twice")
    with pytest.raises(NotFoundError):
        trainer.submit(TRAINING, spec)


@pytest.mark.parametrize(
    "other",
    [
        TrainingSpec("shop", "tfidf_hsgd", {"epochs": 2}),
        TrainingSpec("nothing", "tfidf_hsgd"),
        TrainingSpec("../..", "no model"),
        TrainingSpec("shop", "tfidf_hsgd", {"alpha": float("nan")}),
    ],
)
def test_another_request_of_the_same_id_is_told_so_before_it_is_looked_at(
    trainer: TrainerServer, other: TrainingSpec
) -> None:
    trainer.submit(TRAINING, TrainingSpec("shop", "tfidf_hsgd"), "once")
    with pytest.raises(AlreadyExistsError, match="'once' was made before"):
        trainer.submit(TRAINING, other, "once")


def test_an_evaluation_is_repeated_without_its_checkpoint(
    trainer: TrainerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = EvaluationSpec("shop", "tfidf_hsgd")
    with monkeypatch.context() as there:
        there.setattr(trainer, "validate", lambda *_, **__: None)
        job = trainer.submit(EVALUATION, spec, "once")
    assert trainer.submit(EVALUATION, spec, "once").id == job.id
    with pytest.raises(AlreadyExistsError):
        trainer.submit(EVALUATION, EvaluationSpec("shop", "tfidf_hsgd", "val"), "once")
    # Each kind of job has its own ids.
    assert trainer.submit(TRAINING, TrainingSpec("shop", "tfidf_hsgd"), "once").id != job.id
