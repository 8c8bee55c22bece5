"""Testing checkpoints on a split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ktt_core.checkpoint_names import LABELS, find_checkpoint
from ktt_core.checkpoint_record import KeepsRecord
from ktt_core.datasets.dataset import Dataset
from ktt_core.errors import CheckpointError, InvalidArgumentError
from ktt_core.model import Model
from ktt_core.progress import ProgressCallback
from ktt_core.registry import get_model
from ktt_core.workspace import Workspace
from trainer.answers import AnswerRecorder
from trainer.fields import at_field
from trainer.planning import check_model, open_dataset
from trainer.results import EvaluationResult
from trainer.specs import EvaluationSpec

__all__ = ["EvaluationPlan", "check_evaluation", "evaluate_model"]


@dataclass(frozen=True)
class EvaluationPlan:
    """An evaluation that nothing speaks against: `rows` is how many the split has."""

    dataset: Dataset
    model_class: type[Model]
    checkpoint: Path
    rows: int


def check_evaluation(workspace: Workspace, spec: EvaluationSpec) -> EvaluationPlan:
    """Look up all that an evaluation needs, without reading a checkpoint.

    Raises
    ------
    InvalidArgumentError
        If a name or the split is none, or the split has no rows; `field` is the spec's.
    NotFoundError
        If the dataset, the model or the checkpoint does not exist.
    DataError
        If the dataset is damaged.
    """
    check_model(spec.model)
    dataset = open_dataset(workspace, spec.dataset)
    rows = dataset.split(spec.split).n_rows
    if not rows:
        sizes = ", ".join(f"{name} ({size:,} rows)" for name, size in dataset.sizes.items() if size)
        raise InvalidArgumentError(
            f"the split {spec.split!r} of {spec.dataset!r} has no rows; others: {sizes or 'none'}",
            field="split",
        )
    folder = workspace.weights_folder(spec.model, spec.dataset)
    with at_field("label" if spec.label not in LABELS else "run_time"):
        file = find_checkpoint(folder, spec.label, spec.run_time or None)
    return EvaluationPlan(dataset, get_model(spec.model), file.path, rows)


def evaluate_model(
    workspace: Workspace, spec: EvaluationSpec, progress: ProgressCallback
) -> EvaluationResult:
    """Test a checkpoint on a split.

    Raises
    ------
    CheckpointError
        If the checkpoint is damaged or of another taxonomy.
    KttError
        As `check_evaluation`.
    """
    plan = check_evaluation(workspace, spec)
    model_class, dataset = plan.model_class, plan.dataset
    model = model_class.from_checkpoint(plan.checkpoint)
    _check_taxonomy(plan.checkpoint, model.taxonomy == dataset.taxonomy, dataset)
    loader = model_class.get_dataloader_func()(
        dataset.split(spec.split), model.preprocessor, model.config
    )
    # What is made once, when a model answers for the first time, is no cost of the rows.
    first = next(iter(loader), None)
    if first is not None:
        model.warm_up(first.inputs, loader.n_rows)
    recorder = AnswerRecorder(loader, model)
    figures = model.test(recorder, progress, recorder.observe)
    metrics = {name: float(figure) for name, figure in figures.items()}
    return EvaluationResult(
        spec.model,
        spec.dataset,
        spec.split,
        plan.checkpoint,
        plan.rows,
        metrics,
        _warnings(model, dataset, spec.split),
        recorder.seconds,
    )


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
