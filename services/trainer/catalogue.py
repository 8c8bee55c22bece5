"""Listings of a workspace and of the model registry."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ktt_core.checkpoints.format import read_metadata
from ktt_core.checkpoints.paths import list_checkpoint_files, reference_path, report_path
from ktt_core.checkpoints.record import RunRecord
from ktt_core.checkpoints.run_ids import holder_of
from ktt_core.config import describe_config
from ktt_core.datasets.dataset import Dataset
from ktt_core.errors import DataError, KttError, NotFoundError
from ktt_core.fields import at_field
from ktt_core.names import check_name
from ktt_core.registry import ModelEntry, get_config_class, list_models
from ktt_core.workspace import Workspace
from trainer.results import CheckpointInfo, DatasetInfo, EncoderInfo, ModelInfo, RunState
from trainer.resuming import last_states

__all__ = [
    "describe_dataset",
    "describe_model",
    "describe_or_damaged",
    "find_checkpoints",
    "find_encoders",
    "list_all_datasets",
]

#: Suffix of files from `ktt_core.checkpoints.format`; others are listed without metadata.
_SUFFIX = ".safetensors"


def list_all_datasets(workspace: Workspace) -> list[DatasetInfo]:
    """Return all datasets by name; damaged ones with their problem."""
    return [describe_or_damaged(workspace, name) for name in workspace.datasets()]


def describe_or_damaged(workspace: Workspace, name: str) -> DatasetInfo:
    """Return the description of a dataset, or the reason why it cannot be opened."""
    try:
        return describe_dataset(workspace.open_dataset(name))
    except (DataError, NotFoundError) as error:
        return DatasetInfo(name, problem=str(error))


def describe_dataset(dataset: Dataset) -> DatasetInfo:
    """Return the description of a dataset without reading its texts."""
    taxonomy = dataset.taxonomy
    shown = np.add.reduceat(~taxonomy.hidden, taxonomy.level_offsets[:-1], dtype=np.int64)
    return DatasetInfo(
        name=dataset.name,
        sizes=dict(dataset.sizes),
        depth=taxonomy.depth,
        level_sizes=tuple(shown.tolist()),
        n_classes=int(shown.sum()),
        n_leaves=taxonomy.n_leaves,
        fingerprint=dataset.fingerprint,
        options=dict(dataset.options),
    )


def describe_model(entry: ModelEntry, hyperparameters: bool = False) -> ModelInfo:
    """Return the description of a model, optionally with its hyperparameters."""
    fields = describe_config(get_config_class(entry.id)) if hyperparameters else []
    return ModelInfo(entry.id, entry.display_name, entry.framework, entry.summary, tuple(fields))


def find_encoders() -> list[EncoderInfo]:
    """Return the encoders found on this machine, by name; imports no framework."""
    from ktt_models.pytorch.encoders import list_encoders

    return [
        EncoderInfo(
            name=entry.name,
            source=entry.source,
            architecture=entry.architecture,
            width=entry.width,
            layers=entry.layers,
            parameters=entry.parameters,
            max_length=entry.max_length,
            problem=entry.problem,
        )
        for entry in list_encoders()
    ]


def find_checkpoints(
    workspace: Workspace, model: str | None = None, dataset: str | None = None
) -> list[CheckpointInfo]:
    """Return the checkpoints, of one model or dataset if asked, each pair's newest first.

    Raises
    ------
    InvalidArgumentError
        If a name is not valid.
    NotFoundError
        If neither a checkpoint nor the registry (the workspace) knows such a model (dataset).
    """
    weights = workspace.root / "weights"
    if model is not None:
        with at_field("model"):
            check_name(model, "model")
        if not (weights / model).is_dir() and model not in {entry.id for entry in list_models()}:
            known = ", ".join(entry.id for entry in list_models()) or "none"
            raise NotFoundError(f"there is no model {model!r}; there are: {known}")
    if dataset is not None:
        with at_field("dataset"):
            check_name(dataset, "dataset")
        if not any(weights.glob(f"*/{dataset}")):
            workspace.open_dataset(dataset)
    return [
        info
        for folder in sorted(weights.glob(f"{model or '*'}/{dataset or '*'}"))
        for info in _describe_folder(folder)
    ]


def _describe_folder(folder: Path) -> list[CheckpointInfo]:
    found = []
    finished = last_states(folder)
    for file in list_checkpoint_files(folder):
        try:
            size = file.path.stat().st_size
        except FileNotFoundError:
            continue  # removed since the folder was read
        metadata, record, problem = _read(file.path)
        reference, report = reference_path(folder, file.time), report_path(folder, file.time)
        state: RunState = "finished"
        if file.label == "last" and not finished.get(file.time, True):
            state = "unfinished" if holder_of(folder, file.time) is None else "running"
        done, epochs = _epochs(metadata, record)
        found.append(
            CheckpointInfo(
                model=folder.parent.name,
                dataset=folder.name,
                label=file.label,
                time=file.time,
                path=file.path,
                bytes=size,
                reference=reference if reference.is_file() else None,
                metrics=record.metrics,
                problem=problem,
                report=report if report.is_file() else None,
                run_state=state,
                epochs_done=done,
                epochs=epochs,
            )
        )
    return found


def _read(path: Path) -> tuple[dict[str, Any], RunRecord, str]:
    """Return the metadata of a checkpoint, or the reason why it cannot be read."""
    if path.suffix != _SUFFIX:
        return {}, RunRecord(), ""
    try:
        metadata = read_metadata(path)
        return metadata, RunRecord.from_json(metadata), ""
    except KttError as error:
        problem = str(error)
        return {}, RunRecord(), problem if str(path) in problem else f"{path}: {problem}"


def _epochs(metadata: Mapping[str, Any], record: RunRecord) -> tuple[float | None, float | None]:
    """Return the number of epochs done in a checkpoint, and the maximum number."""
    config = metadata.get("config")
    epochs = config.get("epochs") if isinstance(config, dict) else None
    if not isinstance(epochs, (int, float)) or not record.history:
        return None, None
    done = max((point["epoch"] for point in record.history if "epoch" in point), default=0.0)
    steps = [point for point in record.history if "step" in point]
    ends = [point["step"] for point in steps if point.get("epoch") == done]
    last = max((point["step"] for point in steps), default=0.0)
    if done and ends and ends[0] and last > ends[0]:
        # A point within an epoch has only its step; all epochs have the same number of steps.
        done += min((last - ends[0]) / (ends[0] / done), 1.0)
    return done, float(epochs)
