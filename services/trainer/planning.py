"""From a request to its runs, all of them checked before the first one starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
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
from ktt_core.registry import get_config_class, get_entry, list_models
from ktt_core.workspace import Workspace
from trainer.dataset_facts import DatasetFacts, dataset_facts
from trainer.hyperparameters import check_hyperparameters, hyperparameter_field
from trainer.requests import Run, TrainRequest
from trainer.resuming import UnfinishedRun, find_unfinished
from trainer.specs import TrainingSpec

if TYPE_CHECKING:
    from trainer.hosting import HostedTrainer

__all__ = [
    "Plan",
    "PlannedRun",
    "check_model",
    "open_dataset",
    "plan_runs",
    "plan_training",
    "validate",
]

#: Raises if hyperparameters must not be used here.
Admit = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class PlannedRun:
    """A run that nothing speaks against.

    Attributes
    ----------
    run : Run
    overrides : mapping
        The hyperparameters that were asked for.
    config : mapping
        All hyperparameters, as JSON values.
    continued : UnfinishedRun or None
        The run that this one continues.
    """

    run: Run
    overrides: Mapping[str, Any]
    config: Mapping[str, Any]
    continued: UnfinishedRun | None = None


@dataclass(frozen=True)
class Plan:
    """What a request comes to.

    Attributes
    ----------
    runs : list of PlannedRun
        Dataset by dataset.
    left_out : mapping of Run to str
        Of a request to continue several: those with nothing to continue, and why.
    """

    runs: list[PlannedRun]
    left_out: Mapping[Run, str] = field(default_factory=dict)


def plan_runs(
    workspace: Workspace, request: TrainRequest, admit: Admit = lambda config: None
) -> Plan:
    """Return the runs, all of them checked.

    Parameters
    ----------
    workspace : Workspace
    request : TrainRequest
    admit : callable
        Called with the hyperparameters of each new run before anything that they name is looked
        at; raises if it must not be.

    Raises
    ------
    InvalidArgumentError
        If the request contradicts itself, a name is not valid, or a reference set is wanted of a
        dataset without test rows.
    InvalidConfigError
        Naming every hyperparameter that is unknown or out of range, of all models.
    NotFoundError
        If a dataset or a model does not exist.
    DataError
        If a dataset is damaged or cannot be learned from.
    KttError
        As `trainer.resuming.find_unfinished`, if runs are to be continued. NothingToResumeError if
        there is none of all that were named.
    """
    request.check()
    datasets, models = _distinct(request.datasets), _distinct(request.models)
    overrides = request.merged(
        lambda: [entry.id for entry in list_models()],
        lambda model: get_config_class(model).model_fields,
    )
    configs = _configs(overrides)
    facts = {name: dataset_facts(workspace, name) for name in datasets}
    for name in datasets:
        _check_dataset(name, facts[name], request)
    pairs = [(dataset, model) for dataset in datasets for model in models]
    continued: dict[tuple[str, str], UnfinishedRun] = {}
    left_out: dict[tuple[str, str], str] = {}
    for dataset, model in pairs if request.resume else []:
        try:
            continued[dataset, model] = find_unfinished(
                workspace,
                model,
                dataset,
                facts[dataset].fingerprint,
                request.resume_time,
                overrides[model],
            )
        except NothingToResumeError as error:
            left_out[dataset, model] = str(error)
    if left_out and not continued:
        raise NothingToResumeError("\n".join(left_out.values()))
    kept = [pair for pair in pairs if pair not in left_out]
    for model in dict.fromkeys(
        model for dataset, model in kept if (dataset, model) not in continued
    ):
        admit(configs[model].model_dump(mode="json"))
        _check_here(configs[model])
    runs = [
        _planned(
            Run(index, len(kept), dataset, model),
            overrides[model],
            configs[model],
            continued.get((dataset, model)),
        )
        for index, (dataset, model) in enumerate(kept)
    ]
    return Plan(runs, {Run(0, len(kept), *pair): why for pair, why in left_out.items()})


def _planned(
    run: Run, overrides: Mapping[str, Any], config: ModelConfig, continued: UnfinishedRun | None
) -> PlannedRun:
    values = continued.config if continued else config.model_dump(mode="json")
    return PlannedRun(run, overrides, values, continued)


def _check_here(config: ModelConfig) -> None:
    try:
        config.check_here()
    except InvalidArgumentError as error:
        error.rename_fields(hyperparameter_field)
        raise


def validate(trainer: HostedTrainer, spec: TrainingSpec, submitted: bool) -> None:
    """Check a training job for a server's client.

    Raises
    ------
    KttError
        As `plan_training`; PermissionDeniedError if the encoder lies where clients may not read, or
        would have to be fetched.
    """
    plan_training(trainer.workspace, spec, trainer.encoders.check)


def plan_training(
    workspace: Workspace, spec: TrainingSpec, admit: Admit = lambda config: None
) -> PlannedRun:
    """Return the run of a training job; see `plan_runs`.

    Raises
    ------
    KttError
        As `plan_runs`; the `field` of an InvalidArgumentError is the spec's.
    """
    check_model(spec.model)
    check_hyperparameters(spec.hyperparameters)
    request = TrainRequest(
        (spec.dataset,),
        (spec.model,),
        spec.hyperparameters,
        reference=spec.reference_set,
        dry_run=spec.dry_run,
        resume=spec.resume,
        resume_time=spec.resume_time,
    )
    (planned,) = plan_runs(workspace, request, admit).runs
    return planned


def check_model(model: str) -> None:
    """Raise InvalidArgumentError or NotFoundError unless there is such a model."""
    with at_field("model"):
        get_entry(model)


def open_dataset(workspace: Workspace, name: str) -> Dataset:
    """Open a dataset as `Workspace.open_dataset` does; a name that is none is the field's fault."""
    with at_field("dataset"):
        check_name(name, "dataset")
    return workspace.open_dataset(name)


def _configs(overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, ModelConfig]:
    configs: dict[str, ModelConfig] = {}
    problems: list[str] = []
    violations: list[tuple[str, str]] = []
    for model, values in overrides.items():
        try:
            configs[model] = build_config(get_config_class(model), model, values)
        except InvalidConfigError as error:
            problems.append(str(error))
            error.rename_fields(hyperparameter_field)
            violations += error.violations
    if problems:
        raise InvalidConfigError("\n".join(problems), violations=violations)
    return configs


def _check_dataset(name: str, dataset: DatasetFacts, request: TrainRequest) -> None:
    if not dataset.train_rows:
        raise DataError(f"the dataset {name!r} has no training rows; import it with more of them")
    if dataset.n_leaves < 2:
        raise DataError(
            f"the dataset {name!r} has one class path only: there is nothing to tell apart; "
            "import labels with at least two"
        )
    if request.reference and not dataset.test_rows:
        raise InvalidArgumentError(
            f"a reference set is made of the test split, and {name!r} has no test rows; "
            "train without a reference set, or import the dataset with a test share",
            field="reference_set",
        )


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
