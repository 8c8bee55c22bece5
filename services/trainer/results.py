"""Results of the trainer, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ktt_core.errors import KttError
from ktt_core.progress import Progress
from trainer.evaluation_details import Comparison, RowFigures, UnknownClasses
from trainer.requests import Run

__all__ = [
    "CheckpointInfo",
    "DatasetInfo",
    "EncoderInfo",
    "EvaluationResult",
    "ModelInfo",
    "RunEvent",
    "RunResult",
    "RunState",
]

#: State of a checkpoint's run; "" if unknown.
RunState = Literal["", "finished", "unfinished", "running"]

#: Per split ("val", "test") the figures by their names in `ktt_core.metrics`.
SplitMetrics = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset of the workspace.

    Attributes
    ----------
    name : str
    sizes : mapping of str to int
        Rows of "train", "val" and "test".
    depth : int
    level_sizes : tuple of int
        Classes per level, padding not counted.
    n_classes, n_leaves : int
        Classes on all levels, and class paths; padding not counted.
    fingerprint : str
        Of the source.
    options : mapping
        The import's.
    problem : str
        Why a damaged dataset cannot be opened; all else is empty then.
    """

    name: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    depth: int = 0
    level_sizes: tuple[int, ...] = ()
    n_classes: int = 0
    n_leaves: int = 0
    fingerprint: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {
            **asdict(self),
            "sizes": dict(self.sizes),
            "level_sizes": list(self.level_sizes),
            "options": dict(self.options),
        }


@dataclass(frozen=True)
class ModelInfo:
    """A registered model; `hyperparameters` is empty in listings, which import no model."""

    id: str
    display_name: str
    framework: str
    summary: str
    hyperparameters: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        value = asdict(self)
        value["hyperparameters"] = [dict(row) for row in self.hyperparameters]
        if not self.hyperparameters:
            del value["hyperparameters"]
        return value


@dataclass(frozen=True)
class CheckpointInfo:
    """A checkpoint of the workspace.

    Attributes
    ----------
    model, dataset : str
    label : str
        "best" or "last".
    time : str
        The start of its run, UTC.
    path : Path
    bytes : int
        The file's size.
    reference, report : Path or None
        The reference set and the report of the same run.
    metrics : mapping
        Empty if the file does not record them.
    problem : str
        Why a damaged file cannot be used.
    run_state : str
        "finished", "running", or "unfinished": then the run can be continued.
    epochs_done, epochs : float or None
        Passes over the training rows that are done, and their maximum; None if the file does not
        record them.
    """

    model: str
    dataset: str
    label: str
    time: str
    path: Path
    bytes: int
    reference: Path | None = None
    metrics: SplitMetrics = field(default_factory=dict)
    problem: str = ""
    report: Path | None = None
    run_state: RunState = ""
    epochs_done: float | None = None
    epochs: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {
            **asdict(self),
            "path": str(self.path),
            "reference": str(self.reference) if self.reference else None,
            "report": str(self.report) if self.report else None,
            "metrics": _plain(self.metrics),
        }


@dataclass(frozen=True)
class EncoderInfo:
    """An encoder that models can be trained on.

    Attributes
    ----------
    name : str
        Value for the hyperparameter "encoder".
    source : str
        Where it was found: "huggingface cache", "KTT_ENCODERS" or "package".
    architecture : str
        Its family, as transformers names it; empty if it cannot be read.
    width, layers, parameters, max_length : int
        Features of a token, layers, weights, and the most tokens of a text; 0 if unknown.
    problem : str
        Why it cannot be used.
    """

    name: str
    source: str
    architecture: str = ""
    width: int = 0
    layers: int = 0
    parameters: int = 0
    max_length: int = 0
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return asdict(self)


@dataclass(frozen=True)
class EvaluationResult:
    """The metrics of one checkpoint over one split, or over other rows.

    Attributes
    ----------
    model, dataset : str
    split : str
        Empty if the rows are all rows of a file.
    checkpoint : Path
    rows : int
        Of the split.
    metrics : mapping of str to float
    warnings : list of str
        Caveats about the metrics.
    seconds : float
        Time for the answers to the rows after a warm-up, without metrics; 0 if unknown.
    on : str
        Name of the rows' dataset or file, unless they are the split of `dataset`.
    all_rows : RowFigures or None
        Figures over all rows; classes that the model does not know count as wrong.
    unknown : UnknownClasses or None
        The rows whose class the model does not know; they are not among `rows`.
    seen_rows : int
        Rows that were left out because a model was trained or calibrated on their texts.
    comparison : Comparison or None
        Another checkpoint on the same rows; `rows` are then those whose classes both know.
    error_rows : int
        Number of wrongly answered rows, if listed.
    errors : Path or None
        A Parquet file of them; see `trainer.error_table`.
    """

    model: str
    dataset: str
    split: str
    checkpoint: Path
    rows: int
    metrics: Mapping[str, float]
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    on: str = ""
    all_rows: RowFigures | None = None
    unknown: UnknownClasses | None = None
    seen_rows: int = 0
    comparison: Comparison | None = None
    error_rows: int = 0
    errors: Path | None = None

    @property
    def texts_per_second(self) -> float | None:
        """Speed of the model; None if unknown."""
        return self.rows / self.seconds if self.seconds > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Return one JSON object, flat except for optional details."""
        more: dict[str, Any] = {"warnings": list(self.warnings)} if self.warnings else {}
        if self.on:
            more["on"] = self.on
        if self.seen_rows:
            more["seen_rows"] = self.seen_rows
        if self.unknown is not None:
            more["unknown"] = self.unknown.to_json()
        if self.all_rows is not None:
            more["all_rows"] = self.all_rows.to_json()
        if self.comparison is not None:
            more["comparison"] = self.comparison.to_json()
        return {
            "model": self.model,
            "dataset": self.dataset,
            "split": self.split or None,
            "checkpoint": self.checkpoint.name,
            "rows": self.rows,
            "seconds": self.seconds,
            "texts_per_second": self.texts_per_second,
            **self.metrics,
            **more,
        }


@dataclass(frozen=True)
class RunResult:
    """Result of a training run.

    Attributes
    ----------
    dataset, model : str
    seconds : float
        Wall time.
    checkpoint, reference, report : Path or None
        Complete files of the run.
    metrics : mapping
        Of "val" and "test"; a split without rows is left out. For "train" only the share of cut
        texts, if the model cuts texts.
    error : KttError or None
        Why the run failed.
    details : str
        The traceback of an unexpected error, for a bug report.
    run_time : str
        The start of the run, UTC, which is in the names of its files; empty if it left none.
    resumed : bool
        Whether it continued an earlier run.
    warnings : tuple of str
        Warnings for the user, with advice.
    """

    dataset: str
    model: str
    seconds: float
    checkpoint: Path | None = None
    reference: Path | None = None
    metrics: SplitMetrics = field(default_factory=dict)
    error: KttError | None = None
    details: str = ""
    report: Path | None = None
    run_time: str = ""
    resumed: bool = False
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        error = self.error
        return {
            "dataset": self.dataset,
            "model": self.model,
            "seconds": self.seconds,
            "checkpoint": str(self.checkpoint) if self.checkpoint else None,
            "reference": str(self.reference) if self.reference else None,
            "report": str(self.report) if self.report else None,
            "run_time": self.run_time or None,
            "resumed": self.resumed,
            "metrics": _plain(self.metrics),
            "warnings": list(self.warnings),
            "error": {"type": type(error).__name__, "message": str(error)} if error else None,
        }


@dataclass(frozen=True)
class RunEvent:
    """Event of a run.

    `progress` is set for "progress", `result` for "finished" and "failed", and `message` for
    "notice": a message for the user, such as why a stop takes a while.
    """

    run: Run
    kind: Literal["started", "progress", "notice", "finished", "failed"]
    progress: Progress | None = None
    result: RunResult | None = None
    message: str = ""


def _plain(metrics: SplitMetrics) -> dict[str, dict[str, float]]:
    return {split: dict(figures) for split, figures in metrics.items()}
