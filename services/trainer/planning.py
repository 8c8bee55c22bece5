"""From a request to its runs, all of them checked before the first one starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ktt_core.config import ModelConfig, build_config
from ktt_core.datasets.dataset import Dataset
from ktt_core.errors import DataError, InvalidArgumentError, InvalidConfigError, NotFoundError
from ktt_core.registry import get_model, list_models
from ktt_core.workspace import Workspace
from trainer.requests import Run, TrainRequest

__all__ = ["PlannedRun", "plan_runs"]


@dataclass(frozen=True)
class PlannedRun:
    """A run that nothing speaks against.

    Attributes
    ----------
    run : Run
    config : mapping
        All hyperparameters, as JSON values.
    checkpoint_suffix : str
        Of the model's checkpoint files.
    """

    run: Run
    config: Mapping[str, Any]
    checkpoint_suffix: str


def plan_runs(workspace: Workspace, request: TrainRequest) -> list[PlannedRun]:
    """Return the runs, dataset by dataset.

    Raises
    ------
    InvalidArgumentError
        If no dataset or no model is named, a name is not valid, or a reference set is wanted of a
        dataset without test rows.
    InvalidConfigError
        Naming every hyperparameter that is unknown or out of range, of all models.
    NotFoundError
        If a dataset or a model does not exist.
    DataError
        If a dataset is damaged or cannot be learned from.
    """
    datasets, models = _distinct(request.datasets), _distinct(request.models)
    if not datasets:
        raise InvalidArgumentError("name at least one dataset to train on")
    if not models:
        raise InvalidArgumentError("name at least one model to train")
    configs = _configs(models, request)
    for name in datasets:
        _check_dataset(workspace.open_dataset(name), request)
    pairs = [(dataset, model) for dataset in datasets for model in models]
    return [
        PlannedRun(
            Run(index, len(pairs), dataset, model),
            configs[model].model_dump(mode="json"),
            # A framework of its own may not say what its files end with; lookups ignore it.
            getattr(get_model(model), "checkpoint_suffix", ".checkpoint"),
        )
        for index, (dataset, model) in enumerate(pairs)
    ]


def _configs(models: list[str], request: TrainRequest) -> dict[str, ModelConfig]:
    known = {entry.id for entry in list_models()}
    strangers = sorted(set(request.hyperparameters) - known)
    if strangers:
        raise NotFoundError(
            f"the hyperparameter file speaks of {', '.join(map(repr, strangers))}; "
            f"the models are: {', '.join(sorted(known)) or 'none'}"
        )
    overrides = dict(request.overrides)
    if request.epochs is not None:
        if overrides.get("epochs", request.epochs) != request.epochs:
            raise InvalidArgumentError(
                f"epochs is given twice: {request.epochs} and {overrides['epochs']}"
            )
        overrides["epochs"] = request.epochs
    configs, problems = {}, []
    for model in models:
        model_class = get_model(model)
        try:
            configs[model] = build_config(
                model_class.config_class, model, request.hyperparameters.get(model, {}), overrides
            )
        except InvalidConfigError as error:
            problems.append(str(error))
    if problems:
        raise InvalidConfigError("\n".join(problems))
    return configs


def _check_dataset(dataset: Dataset, request: TrainRequest) -> None:
    name = dataset.name
    if not dataset.sizes["train"]:
        raise DataError(f"the dataset {name!r} has no training rows; import it with more of them")
    if dataset.taxonomy.n_leaves < 2:
        raise DataError(
            f"the dataset {name!r} has one class path only: there is nothing to tell apart; "
            "import labels with at least two"
        )
    if request.reference and not dataset.sizes["test"]:
        raise InvalidArgumentError(
            f"a reference set is made of the test split, and {name!r} has no test rows; "
            "train without a reference set, or import the dataset with a test share"
        )


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
