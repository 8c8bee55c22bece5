"""What commands ask of whatever does the work.

All methods raise `ktt_core.errors.KttError` for what a user can mend, the same class with the same
meaning whether the services run in this process or elsewhere.
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
    """Watching was ended and the jobs left running, as the user wished.

    Attributes
    ----------
    jobs : list of Job
        Those that had not ended.
    """

    def __init__(self, jobs: list[Job]) -> None:
        super().__init__(f"{len(jobs)} jobs go on")
        self.jobs = jobs


class Watcher(Protocol):
    """Who watches work: see `cli.watcher.TerminalWatcher`."""

    def begins(self, model: str, dataset: str, index: int = 0, total: int = 1) -> None:
        """Hear which run the next progress is of."""

    def progress(self, event: Progress) -> None:
        """Hear how far it is."""

    def notice(self, message: str) -> None:
        """Hear what is neither progress nor a result."""

    def ask(self, jobs: Sequence[str]) -> Choice:
        """Say what is to become of jobs after an interrupt."""


@dataclass(frozen=True)
class ImportSource:
    """Where the rows of an import come from: exactly one of `file` and `server_path`.

    Attributes
    ----------
    file : Path or None
        A file on this machine.
    server_path : str or None
        A file on the server's.
    upload : str or None
        With `file`: the upload of it that a broken connection cut off.
    """

    file: Path | None = None
    server_path: str | None = None
    upload: str | None = None


@dataclass(frozen=True)
class CheckpointChoice:
    """Which checkpoint: "best" or "last", of the newest run or of one `time`."""

    label: str = "best"
    time: str | None = None


@dataclass(frozen=True)
class PredictOptions:
    """How texts are answered; see `exporter.Exporter.predict`."""

    top_k: int = 1
    min_confidence: float = 0.0
    decoding: Literal["path", "independent"] = "path"
    block_rows: int = 1024


@dataclass(frozen=True)
class JobFilter:
    """Which jobs: all those that each field that is set allows."""

    kinds: tuple[str, ...] = ()
    states: tuple[JobState, ...] = ()
    dataset: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class ExportOutcome:
    """How an export ended.

    Attributes
    ----------
    dataset, model, format : str
    path : Path or None
        The folder on this machine.
    manifest : dict
        What it holds and how it compared with its checkpoint.
    error : KttError or None
        Why there is no folder.
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
        """Where it lies, if that is on this machine."""


class Catalogue(Protocol):
    """The datasets, models, encoders, checkpoints and reports there are."""

    def list_datasets(self) -> list[DatasetInfo]:
        """Return the datasets by name; a damaged one carries its `problem`."""

    def get_dataset(self, name: str) -> DatasetInfo:
        """Return one dataset."""

    def delete_dataset(self, name: str) -> None:
        """Delete a dataset that no job needs."""

    def list_models(self) -> list[ModelInfo]:
        """Return the models that can be trained."""

    def get_model(self, model_id: str) -> ModelInfo:
        """Return one model with its hyperparameters."""

    def list_encoders(self) -> list[EncoderInfo]:
        """Return the encoders that are found without a download."""

    def list_checkpoints(
        self, model: str | None = None, dataset: str | None = None
    ) -> list[CheckpointInfo]:
        """Return the checkpoints, of one model or dataset if asked."""

    def read_report(self, model: str, dataset: str, run_time: str | None = None) -> Report:
        """Return the report of a training run, of the newest that left one or of one time."""


class Backend(Protocol):
    """Datasets, models, checkpoints, jobs and answers of one workspace, wherever it is."""

    @property
    def place(self) -> str:
        """Where that is, for messages."""

    @property
    def catalogue(self) -> Catalogue:
        """What there is."""

    def close(self) -> None:
        """Let go of connections."""

    def import_dataset(
        self,
        source: ImportSource,
        name: str,
        options: ImportOptions,
        watcher: Watcher,
        *,
        replace: bool = False,
    ) -> ImportReport:
        """Make a dataset of a file, whole or not at all."""

    def train(self, request: TrainRequest, watcher: Watcher) -> list[RunResult]:
        """Train every model on every dataset and wait for it.

        Everything is checked before the first run starts. A run that fails then is a result with
        its error. Of several that are to be continued, those with nothing to continue are left
        out, and the watcher hears which.

        Raises
        ------
        DetachedError
            If the watcher wished that the runs go on without us.
        """

    def submit(self, request: TrainRequest) -> list[Job]:
        """Have the same done without waiting; return the jobs."""

    def evaluate(self, request: EvaluateRequest, watcher: Watcher) -> list[EvaluationResult]:
        """Test each model's checkpoint on the rows of a request.

        A file is sent to the trainer first, and taken away there when all is done.
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
        """Export checkpoints and put their folders into `output`, or where they usually go.

        With `leave_out` those that their models cannot make are left out, unless that are all, and
        the watcher hears which.
        """

    def list_jobs(self, wanted: JobFilter, limit: int, watcher: Watcher) -> list[Job]:
        """Return jobs of all services, the newest first."""

    def get_job(self, job_id: str) -> Job:
        """Return one job."""

    def watch_job(self, job_id: str, after: int, watcher: Watcher) -> Iterator[JobEvent]:
        """Yield the events of a job after one number, each once, until it has ended."""

    def cancel_job(self, job_id: str) -> Job:
        """Ask for a job's end; one that has ended stays as it is."""

    def fetch(self, job_id: str, output: Path | None, watcher: Watcher) -> ExportOutcome:
        """Put the folder that an export job made into `output`, or where it usually goes."""
