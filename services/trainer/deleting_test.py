"""A dataset goes whole, unless a job needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktt_core.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from ktt_jobs import JobService, JobState
from trainer import Trainer
from trainer.conftest import import_shop
from trainer.specs import EvaluationSpec


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    """Return a trainer with the datasets "shop" and "other"."""
    for name in ("shop", "other"):
        import_shop(tmp_path / "workspace", name, 30)
    return Trainer(tmp_path / "workspace")


def test_a_dataset_goes_whole_and_no_other_with_it(trainer: Trainer) -> None:
    opened = trainer.workspace.open_dataset("shop")
    trainer.delete_dataset("shop")
    assert [path.name for path in (trainer.root / "datasets").iterdir()] == ["other"]
    # Who has opened it reads on.
    assert len(opened.split("train").texts()) == 24
    with pytest.raises(NotFoundError, match="there is no dataset 'shop'; there are: other"):
        trainer.delete_dataset("shop")


def test_a_damaged_dataset_can_be_deleted(trainer: Trainer) -> None:
    (trainer.root / "datasets/shop/hierarchy.json").write_text("nonsense")
    (trainer.root / "datasets/shop/train.parquet").unlink()
    trainer.delete_dataset("shop")
    assert not (trainer.root / "datasets/shop").exists()


@pytest.mark.parametrize("name", ["..", "../weights", "", ".", "other/../shop", "x" * 64])
def test_what_is_no_name_touches_no_path(trainer: Trainer, name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        trainer.delete_dataset(name)
    assert len(list((trainer.root / "datasets").iterdir())) == 2


def test_a_dataset_that_a_job_waits_for_stays(trainer: Trainer) -> None:
    labels = {"dataset": "shop", "model": "tfidf_hsgd"}
    job = trainer.jobs.submit("training", {"dataset": "shop"}, labels=labels)
    with pytest.raises(FailedPreconditionError, match=f"{job.id} .training, queued.*cancel it"):
        trainer.delete_dataset("shop")
    trainer.delete_dataset("other")
    trainer.jobs.cancel(job.id)
    trainer.delete_dataset("shop")


def test_a_dataset_whose_rows_a_checkpoint_of_another_is_to_be_tested_on_stays(
    trainer: Trainer,
) -> None:
    spec = EvaluationSpec("gone", "tfidf_hsgd", on_dataset="shop")
    job = trainer.jobs.submit("evaluation", spec.to_json(), labels=spec.labels)
    with pytest.raises(FailedPreconditionError, match=f"{job.id} .evaluation, queued"):
        trainer.delete_dataset("shop")
    trainer.jobs.cancel(job.id)
    trainer.delete_dataset("shop")


def test_a_dataset_that_another_service_needs_stays(trainer: Trainer) -> None:
    exports = JobService(trainer.root / "jobs/exporter", {"export": "exporter:run"})
    ended, waiting = (
        exports.submit("export", {}, labels={"dataset": "shop", "model": "tfidf_hsgd"})
        for _ in range(2)
    )
    exports.cancel(ended.id)
    with pytest.raises(FailedPreconditionError, match=f"by {waiting.id} .export, queued.: wait"):
        trainer.delete_dataset("shop")
    trainer.delete_dataset("other")
    assert exports.get(waiting.id).state is JobState.QUEUED
    exports.cancel(waiting.id)
    trainer.delete_dataset("shop")
