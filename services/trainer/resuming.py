"""Unfinished runs and their continuation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktt_core.atomic import atomic_file
from ktt_core.checkpoints.format import read_metadata
from ktt_core.checkpoints.paths import (
    CheckpointFile,
    check_run_time,
    find_checkpoint,
    list_checkpoint_files,
    report_path,
)
from ktt_core.checkpoints.record import RunRecord
from ktt_core.checkpoints.run_ids import holder_of
from ktt_core.config import ModelConfig, build_config
from ktt_core.documents import parse_object
from ktt_core.errors import (
    CheckpointError,
    ConflictError,
    DataError,
    FailedPreconditionError,
    InvalidConfigError,
    NothingToResumeError,
)
from ktt_core.fields import at_field
from ktt_core.registry import get_model
from ktt_core.workspace import Workspace
from trainer.hyperparameters import hyperparameter_field
from trainer.specs import TrainingSpec

__all__ = [
    "UnfinishedRun",
    "find_unfinished",
    "last_states",
    "read_run_time",
    "write_run_time",
]

_RUN_FILE = "run.json"
_SHOWN = 60


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that can be continued: its start, its last checkpoint, its hyperparameters."""

    time: str
    last: Path
    config: ModelConfig


def find_unfinished(workspace: Workspace, spec: TrainingSpec, fingerprint: str) -> UnfinishedRun:
    """Find the run to continue: the newest unfinished run, or the run with a given start.

    Parameters
    ----------
    workspace : Workspace
    spec : TrainingSpec
        Its hyperparameters must match those of the run.
    fingerprint : str
        Current fingerprint of the dataset.

    Raises
    ------
    NothingToResumeError
        If the model cannot be continued, or there is no unfinished run.
    NotFoundError
        If there is no run with that start.
    ConflictError
        If the run is in progress.
    FailedPreconditionError
        If the dataset has changed since the run was started.
    InvalidConfigError
        If the run was started with other hyperparameters than the spec's; it names them.
    CheckpointError
        If the run's last checkpoint is damaged, or of other software.
    """
    model, dataset = spec.model, spec.dataset
    model_class = get_model(model)
    if not model_class.resumable:
        raise NothingToResumeError(
            f"{model} cannot be continued: it saves no state during training; train it again, "
            "without --resume"
        )
    file = _last_of(workspace.weights_folder(model, dataset), model, dataset, spec.resume_time)
    owner = holder_of(file.path.parent, file.time)
    if owner is not None:
        raise ConflictError(
            f"the run of {model} on {dataset} of {file.time} is running"
            f"{f' in process {owner}' if owner else ''}; wait for its end, or stop it"
        )
    metadata = read_metadata(file.path)
    if metadata["model"] != model:
        raise CheckpointError(f"{file.path} is of {metadata['model']!r:.80}, not of {model!r}")
    trained_on = RunRecord.from_json(metadata).fingerprint
    if trained_on != fingerprint:
        raise FailedPreconditionError(
            f"the run of {model} of {file.time} cannot be continued: the dataset {dataset!r} has "
            "been imported again since, with other contents; train again, without --resume"
        )
    config = _config_of(file.path, model, model_class.config_class, metadata)
    _check_same(file, spec, config)
    return UnfinishedRun(file.time, file.path, config)


def last_states(folder: Path) -> dict[str, bool]:
    """Return the starts of a folder's runs with a last state, the newest first.

    Returns
    -------
    dict of str to bool
        Whether the run is finished: only then its best state or its report exists.
    """
    files = list_checkpoint_files(folder)
    best = {file.time for file in files if file.label == "best"}
    return {
        file.time: file.time in best or report_path(folder, file.time).is_file()
        for file in files
        if file.label == "last"
    }


def write_run_time(keep: Path, run_time: str) -> None:
    """Keep the start of the run for the next attempt at the job."""
    with atomic_file(keep / _RUN_FILE) as temporary:
        temporary.write_text(json.dumps({"run_time": run_time}), encoding="utf-8")


def read_run_time(keep: Path) -> str:
    """Return the start of the run of an earlier attempt at the job, or "".

    Raises
    ------
    DataError
        If the file that says so is damaged.
    """
    path = keep / _RUN_FILE

    def damaged(problem: str) -> DataError:
        return DataError(f"{path} is damaged: it is {problem}")

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return ""
    run_time = parse_object(content, damaged).get("run_time")
    if not isinstance(run_time, str):
        raise damaged("without the time of a run")
    return run_time


def _last_of(folder: Path, model: str, dataset: str, run_time: str) -> CheckpointFile:
    """Return the last checkpoint of the run to continue."""
    unfinished = [time for time, finished in last_states(folder).items() if not finished]
    if run_time:
        with at_field("resume_time"):
            file = find_checkpoint(folder, "last", check_run_time(run_time))
        if run_time not in unfinished:
            raise NothingToResumeError(
                f"the run of {model} on {dataset} of {run_time} is finished: there is nothing to "
                "continue"
            )
        return file
    if unfinished:
        return find_checkpoint(folder, "last", unfinished[0])
    finished = [file.time for file in list_checkpoint_files(folder)]
    if finished:
        raise NothingToResumeError(
            f"there is no run of {model} on {dataset} to continue: the newest, of {finished[0]}, "
            "is finished"
        )
    raise NothingToResumeError(
        f"there is no run of {model} on {dataset} to continue: none has been started; train it "
        "without --resume"
    )


def _config_of(
    path: Path, model: str, config_class: type[ModelConfig], metadata: Mapping[str, Any]
) -> ModelConfig:
    config = metadata.get("config")
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} is damaged: it has no hyperparameters; train again")
    try:
        return build_config(config_class, model, config)
    except InvalidConfigError as error:
        raise CheckpointError(
            f"{path} was started with hyperparameters that this version does not accept: {error}"
        ) from error


def _check_same(file: CheckpointFile, spec: TrainingSpec, begun_with: ModelConfig) -> None:
    model, overrides = spec.model, spec.hyperparameters
    config = begun_with.model_dump(mode="json")
    anew = build_config(type(begun_with), model, {**config, **overrides})
    wanted = anew.model_dump(mode="json")
    others = [key for key in overrides if wanted[key] != config[key]]
    if not others:
        return
    shown = ", ".join(f"{key} = {_show(config[key])} (not {_show(wanted[key])})" for key in others)
    violations = [
        (hyperparameter_field(key), f"the run was begun with {_show(config[key])}")
        for key in others
    ]
    raise InvalidConfigError(
        f"{model}: the run of {file.time} continues with its original hyperparameters: "
        f"{shown}; leave them out, or train again, without --resume",
        violations=violations,
    )


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
