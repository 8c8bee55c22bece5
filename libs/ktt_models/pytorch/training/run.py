"""A training run, new or resumed, to its best weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.checkpoints.format import arrays_of, read_arrays
from ktt_core.checkpoints.record import RunRecord
from ktt_core.errors import CheckpointError
from ktt_core.model import Loader, Metrics, check_training_rows
from ktt_core.progress import Progress, ProgressCallback
from ktt_models.pytorch.stored import load_arrays
from ktt_models.pytorch.training.checkpointer import Checkpointer
from ktt_models.pytorch.training.devices import process_count
from ktt_models.pytorch.training.inputs import class_counts, prepared
from ktt_models.pytorch.training.loop import TrainingLoop
from ktt_models.pytorch.training.processes import shared_run
from ktt_models.pytorch.training.state import TrainingState

if TYPE_CHECKING:
    from ktt_models.pytorch.model import PyTorchModel

__all__ = ["continue_training", "fit", "stored_state"]

Arrays = dict[str, NDArray[Any]]


def fit(
    model: PyTorchModel,
    train: Loader,
    val: Loader,
    path: Path | None,
    best_path: Path | None,
    resume_from: Path | None,
    progress: ProgressCallback,
) -> Metrics:
    """See `ktt_models.pytorch.model.PyTorchModel.fit`."""
    check_training_rows(model, train, val)
    world = process_count(model.config)
    if resume_from is None:
        model.build()
        counts = class_counts(prepared(train, model, progress), model.taxonomy)
        model.network.head.init_from_counts(counts)
        state, optimizer = TrainingState(), Arrays()
    else:
        state, optimizer = resume(model, resume_from)
    if world > 1 and not state.finished:
        for loader in (train, val):
            prepared(loader, model, progress)
        with shared_run(model, train, val, path, resume_from, progress, world) as last:
            state, _ = resume(model, last)
    else:
        continue_training(model, train, val, state, optimizer, path, progress)
    best = state.best
    assert best is not None, "a finished run has a best state"
    load_arrays(model.network, best.arrays, [name for name, _ in model.network.trained()])
    model.network.eval()
    model.temperature = best.temperature
    metrics = model.keep_validation(best.metrics)
    model.record.history = state.history
    if best_path is not None:
        progress(Progress("save"))
        model.save(best_path)
    return metrics


def continue_training(
    model: PyTorchModel,
    train: Loader,
    val: Loader,
    state: TrainingState,
    optimizer: Arrays,
    path: Path | None,
    progress: ProgressCallback,
) -> None:
    """Train a model from a state until the run is finished, in this process.

    Parameters
    ----------
    model : PyTorchModel
        With the weights of the state.
    train, val : Loader
    state : TrainingState
        Updated during training.
    optimizer : dict of str to ndarray
        Its state.
    path : Path or None
        File of the last state.
    progress : callable
    """
    train_rows, val_rows = (prepared(loader, model, progress) for loader in (train, val))
    checkpointer = Checkpointer(path, model.config.checkpoint_minutes)
    try:
        TrainingLoop(
            model.network,
            model.taxonomy,
            model.config,
            train_rows,
            val_rows,
            state,
            optimizer,
            checkpointer,
            model.snapshot,
            progress,
            model.scores_comparable_within_level,
            model.get_metrics_func(),
            model.mark,
        ).run()
    finally:
        checkpointer.close()


def resume(model: PyTorchModel, path: Path) -> tuple[TrainingState, Arrays]:
    """Restore a model's weights from a stopped run; return the run's and the optimizer's state.

    Raises
    ------
    CheckpointError
        If the run had another config, taxonomy, model or dataset, or cannot be continued.
    """
    metadata, arrays = read_arrays(path, model.model_id)
    if "training" not in metadata:
        raise CheckpointError(
            f"{path} holds a trained model, and not the state of its training: "
            "only a last checkpoint can be continued"
        )
    _check_config(path, model.config.model_dump(mode="json"), metadata.get("config"))
    record = RunRecord.from_json(metadata)
    mine = model.record.fingerprint
    if mine and record.fingerprint and mine != record.fingerprint:
        raise CheckpointError(
            f"{path} was trained on another import of {record.dataset!r}: "
            "its rows have changed since; train again"
        )
    model.load(path)
    return stored_state(model, path, metadata, arrays)


def stored_state(
    model: PyTorchModel, path: Path, metadata: Mapping[str, Any], arrays: Arrays
) -> tuple[TrainingState, Arrays]:
    """Return the state of a run and of its optimizer from a checkpoint's parts.

    Raises
    ------
    CheckpointError
        If the state is damaged.
    """
    try:
        history = RunRecord.from_json(metadata).history
        state = TrainingState.from_json(metadata["training"], history, arrays_of("best", arrays))
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot be continued: {error}") from error
    if state.best is not None and not state.best.arrays:
        # The best weights are the last ones.
        own = arrays_of("network", arrays)
        state.best.arrays = {name: np.array(own[name]) for name, _ in model.network.trained()}
    return state, arrays_of("optimizer", arrays)


# Hyperparameters that may change between the parts of a run, since results do not depend on them.
_FREE = frozenset(["checkpoint_minutes", "download", "eval_batch_size", "processes"])


def _check_config(path: Path, mine: dict[str, Any], stored: Any) -> None:
    if not isinstance(stored, dict):
        raise CheckpointError(f"{path} holds no config")
    differing = [
        f"{key} ({stored.get(key)!r:.60} there, {mine.get(key)!r:.60} here)"
        for key in sorted(mine.keys() | stored.keys())
        if key not in _FREE and mine.get(key) != stored.get(key)
    ]
    if differing:
        raise CheckpointError(
            f"{path} was begun with other hyperparameters: {', '.join(differing)}; "
            "continue it with its own, or begin a new run"
        )
