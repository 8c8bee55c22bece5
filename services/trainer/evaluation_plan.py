"""Checks of an evaluation's spec, and lookup of its inputs before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.checkpoints.paths import LABELS, CheckpointFile, find_checkpoint
from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.hierarchy import SPLITS
from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.sources import SUFFIXES
from ktt_core.errors import InvalidArgumentError, NotFoundError
from ktt_core.fields import at_field
from ktt_core.workspace import Workspace
from trainer.planning import check_model, open_dataset
from trainer.specs import EvaluationSpec
from trainer.uploads import UploadStore

if TYPE_CHECKING:
    from trainer.server import TrainerServer

__all__ = ["EvaluationPlan", "check_evaluation", "uploads_of", "validate"]


@dataclass(frozen=True)
class EvaluationPlan:
    """Inputs of a valid evaluation.

    Attributes
    ----------
    checkpoint : CheckpointFile
    baseline : CheckpointFile or None
        The checkpoint to compare with.
    dataset : Dataset or None
        Dataset with the split of rows; None if the rows are from a file.
    """

    checkpoint: CheckpointFile
    baseline: CheckpointFile | None
    dataset: Dataset | None


def validate(trainer: TrainerServer, spec: EvaluationSpec, submitted: bool) -> None:
    """Check an evaluation job of a client; its file may be missing until it is submitted.

    Raises
    ------
    KttError
        As `check_evaluation`; PermissionDeniedError if the file is not under an allowed root.
    """
    if spec.on_file:
        trainer.allowed.resolve(spec.on_file)
    if spec.split not in SPLITS:
        raise InvalidArgumentError(
            f"{spec.split[:80]!r} is not a split; there are: {', '.join(SPLITS)}", field="split"
        )
    check_evaluation(trainer.workspace, spec, file_to_come=not submitted)


def check_evaluation(
    workspace: Workspace, spec: EvaluationSpec, *, file_to_come: bool = False
) -> EvaluationPlan:
    """Look up the inputs of an evaluation, without reading a checkpoint or a file.

    Parameters
    ----------
    workspace : Workspace
    spec : EvaluationSpec
    file_to_come : bool
        Whether `file_options` may be set without a file, which is sent after this check.

    Raises
    ------
    InvalidArgumentError
        If a name or the split is invalid, the split has no rows, or the request contradicts itself;
        `field` is the spec's.
    NotFoundError
        If the dataset, the model, the checkpoint or the file does not exist.
    FailedPreconditionError
        If the upload is not complete.
    DataError
        If the dataset is damaged.
    """
    compared = bool(spec.baseline_model or spec.baseline_dataset)
    with at_field("model"):
        check_model(spec.model)
    if compared:
        with at_field("baseline_model"):
            check_model(spec.baseline_model)
    dataset = None
    if spec.file_options:
        _check_file(workspace, spec, file_to_come)
    else:
        dataset = _check_dataset(workspace, spec)
    checkpoint = _find(workspace, spec.model, spec.dataset, spec.label, spec.run_time, "")
    if not compared:
        return EvaluationPlan(checkpoint, None, dataset)
    baseline = _find(
        workspace,
        spec.baseline_model,
        spec.baseline_dataset,
        spec.label,
        spec.baseline_run_time,
        "baseline_",
    )
    if baseline == checkpoint:
        raise InvalidArgumentError(
            f"{baseline.path.name} of {spec.baseline_model!r} on {spec.baseline_dataset!r} would "
            "be compared with itself: name another run, model or dataset",
            field="baseline_run_time",
        )
    return EvaluationPlan(checkpoint, baseline, dataset)


def _check_dataset(workspace: Workspace, spec: EvaluationSpec) -> Dataset:
    if spec.on_file or spec.upload_id:
        raise InvalidArgumentError(
            "say how to read the file: name its text column and the columns of its classes",
            field="file_options",
        )
    with at_field("on_dataset" if spec.on_dataset else "dataset"):
        dataset = open_dataset(workspace, spec.on_dataset or spec.dataset)
    if not dataset.split(spec.split).n_rows:
        sizes = ", ".join(f"{name} ({size:,} rows)" for name, size in dataset.sizes.items() if size)
        raise InvalidArgumentError(
            f"the split {spec.split!r} of {dataset.name!r} has no rows; others: {sizes or 'none'}",
            field="split",
        )
    return dataset


def _find(
    workspace: Workspace, model: str, dataset: str, label: str, run_time: str, prefix: str
) -> CheckpointFile:
    with at_field(f"{prefix}dataset"):
        folder = workspace.weights_folder(model, dataset)
    with at_field("label" if label not in LABELS else f"{prefix}run_time"):
        return find_checkpoint(folder, label, run_time or None)


def _check_file(workspace: Workspace, spec: EvaluationSpec, file_to_come: bool) -> None:
    if spec.on_dataset or (spec.on_file and spec.upload_id):
        raise InvalidArgumentError(
            "name the rows in one way: another dataset, a file, or an upload", field="on_dataset"
        )
    if spec.split not in SPLITS:
        raise NotFoundError(f"there is no split {spec.split!r}; there are: {', '.join(SPLITS)}")
    with at_field("file_options"):
        ImportOptions.from_json(spec.file_options)
    if spec.upload_id:
        uploads_of(workspace).check_complete(spec.upload_id)
    elif spec.on_file:
        if not Path(spec.on_file).exists():
            raise NotFoundError(f"there is no file {spec.on_file}")
    elif not file_to_come:
        raise InvalidArgumentError(
            "name the file or the upload that holds the rows", field="upload_id"
        )


def uploads_of(workspace: Workspace) -> UploadStore:
    """Return the uploads that a server of the workspace keeps."""
    return UploadStore(workspace.root / "uploads", SUFFIXES)
