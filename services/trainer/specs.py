"""What a job of the trainer is asked to do and what came of it, as values that JSON can hold.

A job's spec is kept as it was asked for: the hyperparameters that differ from the defaults, not
those that follow from them. Paths in results are relative to the workspace, which may lie
elsewhere when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

__all__ = [
    "EVALUATION",
    "STEP_GRACE",
    "TASKS",
    "TRAINING",
    "EvaluationOutcome",
    "EvaluationSpec",
    "TrainingOutcome",
    "TrainingSpec",
]

#: The kinds of jobs.
TRAINING, EVALUATION = "training", "evaluation"

#: Seconds that a run which can be continued has to finish its step and to keep its state when it is
#: cancelled.
STEP_GRACE = 60.0

#: The function of each kind, which a worker process looks up.
TASKS = {TRAINING: "trainer.tasks:train", EVALUATION: "trainer.tasks:evaluate"}


@dataclass(frozen=True)
class TrainingSpec:
    """Train one model on one dataset, test it and write its checkpoint.

    Attributes
    ----------
    dataset, model : str
    hyperparameters : mapping
        Those that are to differ from the model's defaults.
    reference_set : bool
        Whether to write the reference set beside the checkpoint.
    dry_run : bool
        Whether to write nothing to the workspace.
    resume : bool
        Whether to continue a run that was begun before, with the hyperparameters it was begun with.
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

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {**asdict(self), "hyperparameters": dict(self.hyperparameters)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainingSpec:
        """Rebuild from `to_json`'s value; what it does not know is left out."""
        return cls(**_known(cls, value))


@dataclass(frozen=True)
class EvaluationSpec:
    """Test a checkpoint on a split of its dataset.

    Attributes
    ----------
    dataset, model : str
    split : str
        "train", "val" or "test".
    label : str
        "best" or "last".
    run_time : str
        The start of the checkpoint's run, UTC; empty for the newest.
    """

    dataset: str
    model: str
    split: str = "test"
    label: str = "best"
    run_time: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """What a job is found by."""
        return {"dataset": self.dataset, "model": self.model}

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EvaluationSpec:
        """Rebuild from `to_json`'s value; what it does not know is left out."""
        return cls(**_known(cls, value))


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training job made.

    Attributes
    ----------
    checkpoint_path, reference_path, report_path : str
        Relative to the workspace; empty where none was written.
    run_time : str
        The start of the run, UTC, by which the checkpoint is found; empty after a dry run.
    metrics : mapping of str to mapping
        By split; one without rows is left out.
    seconds : float
        Wall time of the run; of its last attempt, if it was continued.
    resumed : bool
        Whether it continued a run that had been begun before.
    """

    checkpoint_path: str = ""
    reference_path: str = ""
    report_path: str = ""
    run_time: str = ""
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float = 0.0
    resumed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        metrics = {split: dict(figures) for split, figures in self.metrics.items()}
        return {**asdict(self), "metrics": metrics}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TrainingOutcome:
        """Rebuild from `to_json`'s value; what it does not know is left out."""
        return cls(**_known(cls, value))


@dataclass(frozen=True)
class EvaluationOutcome:
    """What an evaluation job measured.

    Attributes
    ----------
    checkpoint_path : str
        Relative to the workspace.
    rows : int
        Of the split.
    figures : mapping of str to float
        By their names in `ktt_core.metrics`.
    warnings : tuple of str
        Why the figures may say something else than they seem to.
    seconds : float
        That the model took for the rows, without being loaded.
    """

    checkpoint_path: str
    rows: int
    figures: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {**asdict(self), "figures": dict(self.figures), "warnings": list(self.warnings)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> EvaluationOutcome:
        """Rebuild from `to_json`'s value; what it does not know is left out."""
        return cls(**{**_known(cls, value), "warnings": tuple(value["warnings"])})


def _known(kind: type[Any], value: Mapping[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: item for name, item in value.items() if name in names}
