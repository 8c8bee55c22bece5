"""One training run: fit, test, write. It knows no process; `trainer.tasks` runs it in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ktt_core.checkpoint_record import KeepsRecord
from ktt_core.config import build_config
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_core.reference import write_reference
from ktt_core.registry import get_model
from ktt_core.workspace import Workspace

__all__ = ["TrainingJob", "run_training"]


@dataclass(frozen=True)
class TrainingJob:
    """All that a run needs, in JSON values.

    Attributes
    ----------
    workspace, dataset, model : str
    config : mapping
        The model's hyperparameters.
    best_path, last_path : str or None
        Where the checkpoints go; None for a dry run.
    reference_path : str or None
        Where the reference set goes, if one is wanted.
    """

    workspace: str
    dataset: str
    model: str
    config: Mapping[str, Any] = field(default_factory=dict)
    best_path: str | None = None
    last_path: str | None = None
    reference_path: str | None = None


def run_training(
    job: TrainingJob, progress: ProgressCallback = ignore_progress
) -> dict[str, dict[str, float]]:
    """Train a model, test it, and write its checkpoint and reference set.

    Returns
    -------
    dict of str to dict
        The metrics of "val" and "test"; a split without rows is left out.

    Raises
    ------
    KttError
        If the dataset or the config cannot be used after all.
    """
    dataset = Workspace(Path(job.workspace)).open_dataset(job.dataset)
    model_class = get_model(job.model)
    config = build_config(model_class.config_class, job.model, job.config)
    preprocessor = model_class.get_preprocessor(config)
    load = model_class.get_dataloader_func()
    model = model_class(dataset.taxonomy, config)
    if isinstance(model, KeepsRecord):
        model.record.dataset = dataset.name
        model.record.fingerprint = dataset.fingerprint
    best_path = Path(job.best_path) if job.best_path else None
    last_path = Path(job.last_path) if job.last_path else None
    validation = model.fit(
        load(dataset.split("train"), preprocessor, config, shuffle=True),
        load(dataset.split("val"), preprocessor, config),
        last_path,
        best_path,
        progress=progress,
    )
    metrics = {"val": _floats(validation)} if validation else {}
    if dataset.sizes["test"]:
        test = load(dataset.split("test"), preprocessor, config)
        metrics["test"] = _floats(model.test(test, progress))
        if isinstance(model, KeepsRecord):
            model.record.metrics = {**model.record.metrics, "test": metrics["test"]}
            if best_path is not None:
                # The same weights again, atomically, now with their test metrics beside them.
                progress(Progress("save"))
                model.save(best_path)
        if job.reference_path:
            progress(Progress("reference"))
            write_reference(model.gen_reference_set(test), Path(job.reference_path))
    return metrics


def _floats(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics that JSON can hold: models may compute them with numpy."""
    return {name: float(figure) for name, figure in metrics.items()}
