"""Specs and outcomes of the trainer's jobs, as values that JSON can hold.

A job's spec is kept as it was asked for: the hyperparameters that differ from the defaults, not
those that follow from them. Paths in results are relative to the workspace, which may lie
elsewhere when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ktt_core.documents import Document
from ktt_core.errors import InvalidArgumentError
from ktt_jobs.kinds import JobKind, JobSpec
from trainer.evaluation_details import Comparison, RowFigures, UnknownClasses

__all__ = [
    "EVALUATION",
    "KINDS",
    "STEP_GRACE",
    "TASKS",
    "TRAINING",
    "EvaluationOutcome",
    "EvaluationSpec",
    "TrainingOutcome",
    "TrainingSpec",
]

#: Seconds that a cancelled run, if it can be continued, has to finish its step and save its state.
STEP_GRACE = 60.0


@dataclass(frozen=True)
class TrainingSpec(JobSpec):
    """Train one model on one dataset, test it and write its checkpoint.

    Attributes
    ----------
    dataset, model : str
    hyperparameters : mapping
        Those that differ from the model's defaults.
    reference_set : bool
        Whether to write the reference set beside the checkpoint.
    dry_run : bool
        Whether to write nothing to the workspace.
    resume : bool
        Whether to continue an earlier run, with its hyperparameters.
    resume_time : str
        The start of that run, UTC; empty for the newest that is not finished.
    """

    dataset: str
    model: str
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    reference_set: bool = False
    dry_run: bool = False
    resume: bool = False
    resume_time: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """What a job is found by."""
        return {"dataset": self.dataset, "model": self.model}

    def check(self) -> None:
        """Check that the fields are consistent.

        Raises
        ------
        InvalidArgumentError
            If they do not.
        """
        if self.resume and self.dry_run:
            raise InvalidArgumentError(
                "a dry run writes nothing, so there is nothing of it to continue: leave out "
                "--dry-run or --resume",
                field="dry_run",
            )
        if self.resume_time and not self.resume:
            raise InvalidArgumentError(
                "a time names the run to continue: it needs --resume", field="resume_time"
            )


@dataclass(frozen=True)
class EvaluationSpec(JobSpec):
    """Test a checkpoint on a split of its dataset, or on other labelled rows.

    Attributes
    ----------
    dataset, model : str
        Dataset that the checkpoint was trained on, and its model.
    split : str
        "train", "val" or "test".
    label : str
        "best" or "last".
    run_time : str
        The start of the checkpoint's run, UTC; empty for the newest.
    on_dataset : str
        A dataset whose split holds the rows, instead of `dataset`.
    on_file : str
        A file with the rows, by its path where the trainer runs.
    upload_id : str
        An upload with the rows.
    file_options : mapping
        How the file or upload is read, `ktt_core.datasets.options.ImportOptions.to_json`; empty if
        the rows are a dataset's.
    baseline_dataset, baseline_model, baseline_run_time : str
        Another checkpoint, of the same label, to compare with on the same rows; empty for none.
    unseen : bool
        Whether to leave out the rows whose text a model was trained or calibrated on.
    list_errors : bool
        Whether to keep the wrongly answered rows, with their texts.
    """

    dataset: str
    model: str
    split: str = "test"
    label: str = "best"
    run_time: str = ""
    on_dataset: str = ""
    on_file: str = ""
    upload_id: str = ""
    file_options: Mapping[str, Any] = field(default_factory=dict)
    baseline_dataset: str = ""
    baseline_model: str = ""
    baseline_run_time: str = ""
    unseen: bool = False
    list_errors: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """What a job is found by."""
        on = {"on": self.on_dataset} if self.on_dataset else {}
        return {"dataset": self.dataset, "model": self.model, **on}

    @property
    def of_own_rows(self) -> bool:
        """Whether the rows are those of the dataset that the checkpoint was trained on."""
        return not (self.on_dataset or self.file_options)

    @property
    def split_of_rows(self) -> str:
        """The split of the rows; empty for all rows of a file."""
        whole_file = self.file_options and not self.file_options.get("split_column")
        return "" if whole_file else self.split


@dataclass(frozen=True)
class TrainingOutcome(Document):
    """Result of a training job.

    Attributes
    ----------
    checkpoint_path, reference_path, report_path : str
        Relative to the workspace; empty if not written.
    run_time : str
        The start of the run, UTC, which identifies the checkpoint; empty after a dry run.
    metrics : mapping of str to mapping
        By split; one without rows is left out. Of "train" only the shares of cut texts.
    seconds : float
        Wall time of the run; of its last attempt, if it was continued.
    resumed : bool
        Whether it continued an earlier run.
    warnings : tuple of str
        Warnings for the user, with advice.
    """

    checkpoint_path: str = ""
    reference_path: str = ""
    report_path: str = ""
    run_time: str = ""
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float = 0.0
    resumed: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluationOutcome(Document):
    """Result of an evaluation job.

    Attributes
    ----------
    checkpoint_path : str
        Relative to the workspace.
    rows : int
        That the figures are over: of the split; or of the other rows those whose class the model
        knows, and the baseline too if there is one.
    figures : mapping of str to float
        By their names in `ktt_core.metrics`.
    warnings : tuple of str
        Caveats about the figures.
    seconds : float
        Time for the answers to these rows after a warm-up, without metrics.
    on : str
        The name of the dataset or file whose rows they are; empty for a split of the dataset that
        the model was trained on.
    all_rows : RowFigures or None
        Figures over all rows; classes that the model does not know count as wrong. None for a split
        of the dataset that the model was trained on.
    unknown : UnknownClasses or None
        The rows whose class the model does not know; None likewise.
    seen_rows : int
        Rows that were left out because a model was trained or calibrated on their texts.
    comparison : Comparison or None
    error_rows : int
        Rows that were answered wrong, of the model and of the baseline, and are kept.
    """

    checkpoint_path: str
    rows: int
    figures: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    on: str = ""
    all_rows: RowFigures | None = None
    unknown: UnknownClasses | None = None
    seen_rows: int = 0
    comparison: Comparison | None = None
    error_rows: int = 0


TRAINING = JobKind(
    name="training",
    spec=TrainingSpec,
    outcome=TrainingOutcome,
    codec="trainer.messages.training:CODEC",
    validate="trainer.planning:validate",
    task="trainer.tasks:train",
)
EVALUATION = JobKind(
    name="evaluation",
    spec=EvaluationSpec,
    outcome=EvaluationOutcome,
    codec="trainer.messages.evaluation:CODEC",
    validate="trainer.evaluation_plan:validate",
    task="trainer.tasks:evaluate",
)

#: The kinds of jobs, and the task of each.
KINDS = (TRAINING, EVALUATION)
TASKS = {kind.name: kind.task for kind in KINDS}
