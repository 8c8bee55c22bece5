"""The runs of a command, as their specs are sent."""

from __future__ import annotations

from typing import Any

import pytest

from cli.backend.job_group import JobRequest
from cli.backend.planning import check_all, training_message
from ktt_core.errors import (
    InvalidArgumentError,
    InvalidConfigError,
    KttError,
    NotFoundError,
    NothingToResumeError,
    UnavailableError,
)
from trainer import TrainRequest

KEYS = {"one": {"alpha"}, "two": {"alpha", "encoder", "download"}}


def specs(**fields: Any) -> list[Any]:
    request = TrainRequest(**{"datasets": ("a", "b"), "models": ("one", "two"), **fields})
    return request.expand(lambda: list(KEYS), KEYS.__getitem__)


def test_every_model_is_trained_on_every_dataset_dataset_by_dataset() -> None:
    planned = specs(datasets=("a", "b", "a"), reference=True, dry_run=True)
    assert [(spec.dataset, spec.model) for spec in planned] == [
        ("a", "one"),
        ("a", "two"),
        ("b", "one"),
        ("b", "two"),
    ]
    assert all(spec.reference_set and spec.dry_run for spec in planned)


def test_set_wins_over_the_file_and_epochs_are_an_override() -> None:
    planned = specs(
        overrides={"alpha": 1},
        hyperparameters={"one": {"alpha": 2, "beta": 3}, "two": {}},
        epochs=7,
    )
    assert planned[0].hyperparameters == {"alpha": 1, "beta": 3, "epochs": 7}
    assert planned[1].hyperparameters == {"alpha": 1, "epochs": 7}


def test_contradictions_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidArgumentError, match="epochs is given twice: 7 and 8"):
        specs(overrides={"epochs": 8}, epochs=7)
    with pytest.raises(NotFoundError, match="'three'; the models are: one, two"):
        specs(hyperparameters={"three": {}})


def test_an_encoder_is_for_the_models_that_have_one() -> None:
    wanted = {"encoder": "tiny", "download": True}
    planned = specs(where_known=wanted, overrides={"alpha": 1})
    assert planned[0].hyperparameters == {"alpha": 1}
    assert planned[1].hyperparameters == {"alpha": 1, **wanted}
    with pytest.raises(InvalidArgumentError, match="none of these models has .*'encoder': one"):
        specs(models=("one",), where_known=wanted)
    with pytest.raises(InvalidArgumentError, match="encoder is given twice: tiny and other"):
        specs(where_known=wanted, overrides={"encoder": "other"})


def test_a_run_is_continued_by_its_spec() -> None:
    (planned,) = specs(datasets=("a",), models=("two",), resume=True, resume_time="T")
    assert (planned.resume, planned.resume_time) == (True, "T")
    with pytest.raises(InvalidArgumentError, match="names one run"):
        specs(resume=True, resume_time="T")


class Calls:
    """Answers each check with the next of some errors."""

    def __init__(self, *answers: KttError | None) -> None:
        self.answers = list(answers)
        self.checked: list[Any] = []

    def check(self, spec: Any) -> None:
        self.checked.append(spec)
        error = self.answers.pop(0)
        if error is not None:
            raise error


def check(*answers: KttError | None) -> Calls:
    calls = Calls(*answers)
    check_all(calls, [JobRequest(number, "m", "d") for number in range(len(answers))])  # type: ignore[arg-type]
    return calls


def test_wrong_hyperparameters_of_all_models_are_told_at_once() -> None:
    assert check(None, None, None).checked == [0, 1, 2]
    with pytest.raises(InvalidConfigError) as caught:
        check(InvalidConfigError("one: a"), None, InvalidConfigError("one: a\ntwo: b"))
    assert str(caught.value) == "one: a\ntwo: b"


def test_of_several_those_with_nothing_to_continue_are_left_out() -> None:
    nothing = NothingToResumeError("nothing of one")
    calls = Calls(nothing, None, nothing)
    requests: Any = [JobRequest(number, "m", "d") for number in range(3)]
    assert check_all(calls, requests) == {0: "nothing of one", 2: "nothing of one"}  # type: ignore[arg-type]
    with pytest.raises(NothingToResumeError, match="nothing of one\nnothing of two"):
        check(nothing, NothingToResumeError("nothing of two"))


def test_the_first_other_error_ends_the_checking() -> None:
    with pytest.raises(UnavailableError):
        check(None, UnavailableError("gone"), InvalidConfigError("one"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, 2**53 + 1])
def test_a_number_that_cannot_be_sent_is_a_wrong_hyperparameter(value: object) -> None:
    with pytest.raises(InvalidConfigError, match="one: alpha: "):
        training_message(specs(models=("one",), overrides={"alpha": value})[0])
