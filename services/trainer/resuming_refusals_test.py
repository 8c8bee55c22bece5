"""Which run is continued, and why one is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktt_core.checkpoints.run_ids import hold_run_time
from ktt_core.errors import (
    CheckpointError,
    ConflictError,
    FailedPreconditionError,
    InvalidArgumentError,
    InvalidConfigError,
    NotFoundError,
    NothingToResumeError,
)
from trainer import RunEvent, Trainer, TrainRequest
from trainer.planning import check
from trainer.resuming_test import (
    assert_same_run,
    import_rows,
    make_trainer,
    request,
    uninterrupted,
)
from trainer.specs import TrainingSpec
from trainer.training import run_training


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    """Return a trainer with the datasets "toy" and "other" and the model "steady"."""
    return make_trainer(tmp_path, monkeypatch)


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
        (request(resume=True), NothingToResumeError, "none has been started"),
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
    with pytest.raises(FailedPreconditionError, match="imported again since"):
        trainer.train(request(resume=True))


def test_a_dataset_that_changes_after_the_check_ends_its_runs_too(trainer: Trainer) -> None:
    trainer.train(request(fails_at=15))
    planned = check(trainer.workspace, TrainingSpec("toy", "steady", resume=True))
    import_rows(trainer, "toy", 43, replace=True)
    with pytest.raises(FailedPreconditionError, match="imported again since"):
        run_training(trainer.workspace, planned)


def test_a_run_is_continued_by_one_process(trainer: Trainer) -> None:
    trainer.train(request(fails_at=15))
    (info,) = trainer.list_checkpoints()
    with hold_run_time(info.path.parent, info.time):
        assert [info.run_state for info in trainer.list_checkpoints()] == ["running"]
        with pytest.raises(ConflictError, match=f"{info.time} is running in process"):
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
