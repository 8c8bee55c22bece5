"""Checks of training jobs, and lookup of their inputs, at submission and at the start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ktt_core.config import ModelConfig, build_config
from ktt_core.datasets.dataset import Dataset
from ktt_core.errors import (
    DataError,
    InvalidArgumentError,
    InvalidConfigError,
    NothingToResumeError,
)
from ktt_core.fields import at_field
from ktt_core.names import check_name
from ktt_core.registry import get_config_class, get_entry
from ktt_core.workspace import Workspace
from trainer.dataset_facts import dataset_facts
from trainer.hyperparameters import check_hyperparameters, hyperparameter_field
from trainer.resuming import UnfinishedRun, find_unfinished
from trainer.specs import TrainingSpec

if TYPE_CHECKING:
    from trainer.server import TrainerServer

__all__ = ["PlannedRun", "check", "check_all", "check_model", "open_dataset", "validate"]

#: Raises if hyperparameters are not allowed here.
Admit = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class PlannedRun:
    """A checked run.

    Attributes
    ----------
    spec : TrainingSpec
    config : ModelConfig
        All hyperparameters.
    continued : UnfinishedRun or None
        The run that this one continues.
    """

    spec: TrainingSpec
    config: ModelConfig
    continued: UnfinishedRun | None = None


def validate(trainer: TrainerServer, spec: TrainingSpec, submitted: bool) -> None:
    """Check a training job for a server's client.

    Raises
    ------
    KttError
        As `check`; PermissionDeniedError if clients may not use the encoder, or it would have to be
        fetched.
    """
    check(trainer.workspace, spec, trainer.encoders.check)


def check(
    workspace: Workspace, spec: TrainingSpec, admit: Admit = lambda config: None
) -> PlannedRun:
    """Return the run of a training job; see `check_all`."""
    (planned,) = check_all(workspace, [spec], admit)[0]
    return planned


def check_all(
    workspace: Workspace, specs: Sequence[TrainingSpec], admit: Admit = lambda config: None
) -> tuple[list[PlannedRun], list[tuple[TrainingSpec, str]]]:
    """Return the runs of training jobs, all of them checked.

    Parameters
    ----------
    workspace : Workspace
    specs : sequence of TrainingSpec
    admit : callable
        Called with the hyperparameters of each new run before anything that they name is accessed;
        raises if that is not allowed.

    Returns
    -------
    runs : list of PlannedRun
    left_out : list of (TrainingSpec, str)
        Of several runs to continue: those with nothing to continue, and why.

    Raises
    ------
    InvalidArgumentError
        If a spec contradicts itself, a name is not valid, or a reference set is requested for a
        dataset without test rows; `field` is the spec's.
    InvalidConfigError
        Naming every hyperparameter that is unknown or out of range, of all models.
    NotFoundError
        If a dataset or a model does not exist.
    DataError
        If a dataset is damaged or unsuitable for training.
    KttError
        As `trainer.resuming.find_unfinished`, if runs are to be continued. NothingToResumeError if
        there is none of all that were named.
    """
    for spec in specs:
        check_model(spec.model)
        check_hyperparameters(spec.hyperparameters)
        spec.check()
    configs = _configs(specs)
    fingerprints = [_check_dataset(workspace, spec) for spec in specs]
    runs: list[PlannedRun] = []
    new: dict[str, ModelConfig] = {}
    left_out: list[tuple[TrainingSpec, str]] = []
    for spec, config, fingerprint in zip(specs, configs, fingerprints, strict=True):
        try:
            continued = find_unfinished(workspace, spec, fingerprint) if spec.resume else None
        except NothingToResumeError as error:
            left_out.append((spec, str(error)))
            continue
        if continued is None:
            new[spec.model] = config
        runs.append(PlannedRun(spec, continued.config if continued else config, continued))
    if left_out and not runs:
        raise NothingToResumeError("\n".join(why for _, why in left_out))
    for config in new.values():
        _check_here(config, admit)
    return runs, left_out


def check_model(model: str) -> None:
    """Raise InvalidArgumentError or NotFoundError unless the model exists."""
    with at_field("model"):
        get_entry(model)


def open_dataset(workspace: Workspace, name: str) -> Dataset:
    """Open a dataset as `Workspace.open_dataset` does; errors of the name have the field."""
    with at_field("dataset"):
        check_name(name, "dataset")
    return workspace.open_dataset(name)


def _configs(specs: Sequence[TrainingSpec]) -> list[ModelConfig]:
    configs: list[ModelConfig] = []
    problems: dict[str, Sequence[tuple[str, str]]] = {}
    for spec in specs:
        try:
            config_class = get_config_class(spec.model)
            configs.append(build_config(config_class, spec.model, spec.hyperparameters))
        except InvalidConfigError as error:
            error.rename_fields(hyperparameter_field)
            # Once for a model, on however many datasets.
            problems[str(error)] = error.violations
    if problems:
        violations = [each for found in problems.values() for each in found]
        raise InvalidConfigError("\n".join(problems), violations=violations)
    return configs


def _check_here(config: ModelConfig, admit: Admit) -> None:
    """Check that the resources named by a new run's hyperparameters are allowed and exist."""
    admit(config.model_dump(mode="json"))
    try:
        config.check_here()
    except InvalidArgumentError as error:
        error.rename_fields(hyperparameter_field)
        raise


def _check_dataset(workspace: Workspace, spec: TrainingSpec) -> str:
    """Return the fingerprint of a dataset after checking that it is suitable for training."""
    name, dataset = spec.dataset, dataset_facts(workspace, spec.dataset)
    if not dataset.train_rows:
        raise DataError(f"the dataset {name!r} has no training rows; import it with more of them")
    if dataset.n_leaves < 2:
        raise DataError(
            f"the dataset {name!r} has one class path only: there is nothing to tell apart; "
            "import labels with at least two"
        )
    if spec.reference_set and not dataset.test_rows:
        raise InvalidArgumentError(
            f"a reference set is made of the test split, and {name!r} has no test rows; "
            "train without a reference set, or import the dataset with a test share",
            field="reference_set",
        )
    return dataset.fingerprint
