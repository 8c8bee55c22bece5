"""Testing checkpoints on a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ktt_core.checkpoint_names import find_checkpoint
from ktt_core.checkpoint_record import KeepsRecord
from ktt_core.datasets.dataset import Dataset
from ktt_core.errors import CheckpointError, InvalidArgumentError
from ktt_core.model import Model
from ktt_core.progress import ProgressCallback
from ktt_core.registry import get_model
from ktt_core.workspace import Workspace
from trainer.results import EvaluationResult

__all__ = ["evaluate_models"]


def evaluate_models(
    workspace: Workspace,
    dataset_name: str,
    models: Sequence[str],
    split: str,
    label: str,
    run_time: str | None,
    progress: ProgressCallback,
) -> list[EvaluationResult]:
    """Return the metrics of each model's checkpoint; see `trainer.handlers.Trainer.evaluate`."""
    dataset = workspace.open_dataset(dataset_name)
    rows = dataset.split(split).n_rows
    if not rows:
        sizes = ", ".join(f"{name} ({size:,} rows)" for name, size in dataset.sizes.items() if size)
        raise InvalidArgumentError(
            f"the split {split!r} of {dataset_name!r} has no rows; others: {sizes or 'none'}"
        )
    models = list(dict.fromkeys(models))
    if not models:
        raise InvalidArgumentError("name at least one model to evaluate")
    found = [
        (
            get_model(model),
            find_checkpoint(workspace.weights_folder(model, dataset_name), label, run_time),
        )
        for model in models
    ]
    results = []
    for model_class, file in found:
        model = model_class.from_checkpoint(file.path)
        _check_taxonomy(file.path, model.taxonomy == dataset.taxonomy, dataset)
        loader = model_class.get_dataloader_func()(
            dataset.split(split), model_class.get_preprocessor(model.config), model.config
        )
        metrics = {name: float(figure) for name, figure in model.test(loader, progress).items()}
        results.append(
            EvaluationResult(
                model_class.model_id,
                dataset_name,
                split,
                file.path,
                rows,
                metrics,
                _warnings(model, dataset, split),
            )
        )
    return results


def _warnings(model: Model, dataset: Dataset, split: str) -> list[str]:
    """Say what speaks against taking the metrics for those of unseen rows."""
    trained_on = model.record.fingerprint if isinstance(model, KeepsRecord) else ""
    if trained_on in ("", dataset.fingerprint):
        return []
    overlap = (
        "" if split == "train" else f": its {split} rows may be among the rows it learned from"
    )
    return [f"trained on another import of {dataset.name!r}{overlap}"]


def _check_taxonomy(path: Path, same: bool, dataset: Dataset) -> None:
    if not same:
        raise CheckpointError(
            f"{path} was trained on another taxonomy than {dataset.name!r} has now: "
            "an import has changed its classes since; train again"
        )
