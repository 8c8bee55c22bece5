"""The interface of backends.

All methods raise `ktt_core.errors.KttError` for errors a user can fix, with the same classes in all
backends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from cli.watcher import Choice
    from exporter import ExportSpec
    from ktt_core.datasets.options import ImportOptions
    from ktt_core.datasets.report import ImportReport
    from ktt_core.decoding import Prediction
    from ktt_core.errors import KttError
    from ktt_core.progress import Progress
    from ktt_jobs import Job, JobEvent, JobState
    from trainer import (
        CheckpointInfo,
        DatasetInfo,
        EncoderInfo,
        EvaluateRequest,
        EvaluationResult,
        ModelInfo,
        RunResult,
        TrainRequest,
    )

__all__ = [
    "Backend",
    "Catalogue",
    "CheckpointChoice",
    "DetachedError",
    "ExportOutcome",
    "ImportSource",
    "JobFilter",
    "PredictOptions",
    "Report",
    "Watcher",
]


class DetachedError(Exception):
    """The user detached: watching ended, and the jobs continue.

    Attributes
    ----------
    jobs : list of Job
        The unfinished jobs.
    """

    def __init__(self, jobs: list[Job]) -> None:
        super().__init__(f"{len(jobs)} jobs continue")
        self.jobs = jobs


class Watcher(Protocol):
    """An observer of work: see `cli.watcher.TerminalWatcher`."""

    def begins(self, model: str, dataset: str, index: int = 0, total: int = 1) -> None:
        """Set the run of further progress."""

    def progress(self, event: Progress) -> None:
        """Receive progress."""

    def notice(self, message: str) -> None:
        """Receive a notice that is neither progress nor a result."""

    def ask(self, jobs: Sequence[str]) -> Choice:
        """Choose what happens to jobs after an interrupt."""


@dataclass(frozen=True)
class ImportSource:
    """Source of an import: exactly one of `file` and `server_path`.

    Attributes
    ----------
    file : Path or None
        A file on this machine.
    server_path : str or None
        A file on the server's.
    upload : str or None
        With `file`: its upload that was interrupted.
    """

    file: Path | None = None
    server_path: str | None = None
    upload: str | None = None


@dataclass(frozen=True)
class CheckpointChoice:
    """A checkpoint: "best" or "last", of the newest run or of the run with the start `time`."""

    label: str = "best"
    time: str | None = None


@dataclass(frozen=True)
class PredictOptions:
    """Options of predictions; see `exporter.Exporter.predict`."""

    top_k: int = 1
    min_confidence: float = 0.0
    decoding: Literal["path", "independent"] = "path"
    block_rows: int = 1024


@dataclass(frozen=True)
class JobFilter:
    """A filter of jobs; unset fields match all."""

    kinds: tuple[str, ...] = ()
    states: tuple[JobState, ...] = ()
    dataset: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class ExportOutcome:
    """Result of an export.

    Attributes
    ----------
    dataset, model, format : str
    path : Path or None
        The folder on this machine.
    manifest : dict
        Its content, and its comparison with the checkpoint.
    error : KttError or None
        Error if there is no folder.
    """

    dataset: str
    model: str
    format: str
    path: Path | None = None
    manifest: dict[str, Any] | None = None
    error: KttError | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        error = self.error
        return {
            "dataset": self.dataset,
            "model": self.model,
            "format": self.format,
            "path": str(self.path) if self.path else None,
            "manifest": self.manifest,
            "error": {"type": type(error).__name__, "message": str(error)} if error else None,
        }


class Report(Protocol):
    """The report of a training run."""

    @property
    def model(self) -> str:
        """The model."""

    @property
    def dataset(self) -> str:
        """The dataset."""

    @property
    def run_time(self) -> str:
        """The start of the run, UTC."""

    @property
    def content(self) -> bytes:
        """An HTML page."""

    @property
    def path(self) -> Path | None:
        """Its path, if it is on this machine."""


class Catalogue(Protocol):
    """Datasets, models, encoders, checkpoints and reports."""

    def list_datasets(self) -> list[DatasetInfo]:
        """Return the datasets by name; damaged ones have a `problem`."""

    def get_dataset(self, name: str) -> DatasetInfo:
        """Return one dataset."""

    def delete_dataset(self, name: str) -> None:
        """Delete a dataset that no job needs."""

    def list_models(self) -> list[ModelInfo]:
        """Return the models that can be trained."""

    def get_model(self, model_id: str) -> ModelInfo:
        """Return one model with its hyperparameters."""

    def list_encoders(self) -> list[EncoderInfo]:
        """Return the encoders that are available without a download."""

    def list_checkpoints(
        self, model: str | None = None, dataset: str | None = None
    ) -> list[CheckpointInfo]:
        """Return the checkpoints, of one model or dataset if asked."""

    def read_report(self, model: str, dataset: str, run_time: str | None = None) -> Report:
        """Return the report of a training run: of the newest with one, or of one time."""


class Backend(Protocol):
    """Operations on one workspace, local or remote."""

    @property
    def place(self) -> str:
        """Location of the workspace, for messages."""

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of the workspace."""

    def close(self) -> None:
        """Close connections."""

    def import_dataset(
        self,
        source: ImportSource,
        name: str,
        options: ImportOptions,
        watcher: Watcher,
        *,
        replace: bool = False,
    ) -> ImportReport:
        """Import a file as a dataset, atomically."""

    def train(self, request: TrainRequest, watcher: Watcher) -> list[RunResult]:
        """Train every model on every dataset and wait for it.

        Everything is checked before the first run starts. If a run fails later, its result has the
        error. Of several runs to continue, those with nothing to continue are left out, with a
        notice.

        Raises
        ------
        DetachedError
            If the user chose to detach from the runs.
        """

    def submit(self, request: TrainRequest) -> list[Job]:
        """Start the same without waiting; return the jobs."""

    def evaluate(self, request: EvaluateRequest, watcher: Watcher) -> list[EvaluationResult]:
        """Test each model's checkpoint on the rows of a request.

        A file is uploaded to the trainer first, and deleted there at the end.
        """

    def predict(
        self,
        dataset: str,
        model: str,
        texts: Iterable[str],
        options: PredictOptions,
        checkpoint: CheckpointChoice,
    ) -> Iterator[list[Prediction]]:
        """Classify texts; one list per text. Arguments are checked before a text is read."""

    def export(
        self,
        specs: Sequence[ExportSpec],
        output: Path | None,
        watcher: Watcher,
        *,
        leave_out: bool = False,
    ) -> list[ExportOutcome]:
        """Export checkpoints and put their folders into `output`, or the default place.

        With `leave_out`, exports that models do not support are left out with a notice, unless none
        is supported.
        """

    def list_jobs(self, wanted: JobFilter, limit: int, watcher: Watcher) -> list[Job]:
        """Return jobs of all services, the newest first."""

    def get_job(self, job_id: str) -> Job:
        """Return one job."""

    def watch_job(self, job_id: str, after: int, watcher: Watcher) -> Iterator[JobEvent]:
        """Yield the events of a job after one number, each once, until it has ended."""

    def cancel_job(self, job_id: str) -> Job:
        """Cancel a job; an ended one is not changed."""

    def fetch(self, job_id: str, output: Path | None, watcher: Watcher) -> ExportOutcome:
        """Put the folder of an export job into `output`, or the default place."""
