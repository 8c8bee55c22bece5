"""The trainer's handlers: plain values in and out, `KttError` for errors a user can fix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.progress import ProgressCallback, ignore_progress
from ktt_core.registry import get_entry, list_models
from trainer.requests import EvaluateRequest, TrainRequest
from trainer.results import (
    CheckpointInfo,
    DatasetInfo,
    EncoderInfo,
    EvaluationResult,
    ModelInfo,
    RunEvent,
    RunResult,
)
from trainer.specs import STEP_GRACE, TASKS

if TYPE_CHECKING:
    from ktt_core.datasets.options import ImportOptions
    from ktt_core.datasets.report import ImportReport
    from ktt_core.workspace import Workspace
    from ktt_jobs import JobService, RunPolicy
    from trainer.report_files import ReportFile

__all__ = ["Trainer"]

# Hyperparameters with the largest effect on memory.
_MEMORY_ADVICE = (
    "lower batch_size or max_len, or raise accumulate, of a model on an encoder; lower "
    "max_features of a tf-idf model"
)

EventCallback = Callable[[RunEvent], None]


def _ignore(event: RunEvent) -> None:
    """Drop the event: the default without a watcher."""


class Trainer:
    """Operations on the datasets, training runs and checkpoints of one workspace.

    The constructor imports nothing heavy and creates no folder.

    Parameters
    ----------
    workspace : Path
        The folder with ``datasets/``, ``weights/`` and ``jobs/``; made when something is written.
    jobs : JobService, optional
        Stores and runs the jobs. Default: those of ``<workspace>/jobs/trainer``.
    """

    def __init__(self, workspace: Path, jobs: JobService | None = None) -> None:
        self.root = Path(workspace)
        self._jobs = jobs

    @property
    def workspace(self) -> Workspace:
        """The workspace; raises InvalidArgumentError if its folder is a file."""
        from ktt_core.workspace import Workspace

        return Workspace(self.root)

    @property
    def jobs(self) -> JobService:
        """The jobs of the workspace: ended ones, and with a server running and queued ones."""
        if self._jobs is None:
            from ktt_jobs import JobService

            self._jobs = JobService(jobs_folder(self.root), TASKS, policy=run_policy())
        return self._jobs

    # -- datasets ----------------------------------------------------------------------------------

    def import_dataset(
        self,
        source: Path,
        name: str,
        options: ImportOptions,
        progress: ProgressCallback = ignore_progress,
        *,
        replace: bool = False,
    ) -> ImportReport:
        """Import a file as a dataset; see `ktt_core.datasets.importer.import_dataset`."""
        from ktt_core.datasets.importer import import_dataset

        folder = self.workspace.dataset_folder(name)
        return import_dataset(source, folder, options, progress, replace=replace)

    def list_datasets(self) -> list[DatasetInfo]:
        """Return all datasets by name; damaged ones have a `problem`."""
        from trainer.catalogue import list_all_datasets

        return list_all_datasets(self.workspace)

    def get_dataset(self, name: str) -> DatasetInfo:
        """Return one dataset.

        Raises
        ------
        InvalidArgumentError, NotFoundError, DataError
            If the name is not valid, the dataset does not exist, or it is damaged.
        """
        from trainer.catalogue import describe_dataset

        return describe_dataset(self.workspace.open_dataset(name))

    def delete_dataset(self, name: str) -> None:
        """Delete a dataset, damaged or not; checkpoints trained on it stay.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If the name is not valid, or nothing has it.
        FailedPreconditionError
            If a job that has not ended needs it.
        """
        from trainer.deleting import delete_dataset

        delete_dataset(self.workspace, self.jobs, name)

    # -- models and checkpoints --------------------------------------------------------------------

    def list_models(self, framework: str | None = None) -> list[ModelInfo]:
        """Return the registered models, of one framework if asked, without importing them."""
        return [
            ModelInfo(entry.id, entry.display_name, entry.framework, entry.summary)
            for entry in list_models(framework)
        ]

    def get_model(self, model_id: str) -> ModelInfo:
        """Return one model with its hyperparameters.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If the name is not valid, or no model has it.
        """
        from trainer.catalogue import describe_model

        return describe_model(get_entry(model_id), hyperparameters=True)

    def list_encoders(self) -> list[EncoderInfo]:
        """Return the encoders that are available without a download, by name."""
        from trainer.catalogue import find_encoders

        return find_encoders()

    def list_checkpoints(
        self, model: str | None = None, dataset: str | None = None
    ) -> list[CheckpointInfo]:
        """Return the checkpoints, of one model or dataset if asked, each pair's newest first.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If a name is not valid, or nothing has it.
        """
        from trainer.catalogue import find_checkpoints

        return find_checkpoints(self.workspace, model, dataset)

    def read_report(self, model: str, dataset: str, run_time: str | None = None) -> ReportFile:
        """Return the report of a run; without a time, of the newest run that has one.

        Raises
        ------
        InvalidArgumentError, NotFoundError, DataError
            As `trainer.report_files.read_report`.
        """
        from trainer.report_files import read_report

        return read_report(self.workspace, model, dataset, run_time)

    # -- training and testing ----------------------------------------------------------------------

    def train(self, request: TrainRequest, on_event: EventCallback = _ignore) -> list[RunResult]:
        """Train every model on every dataset, one run after the other, each in its own process.

        Everything is checked before the first run starts. If a run fails later, its result has an
        `error`, and the other runs continue. If this process is interrupted, or `on_event` raises,
        the run is stopped and the exception propagates. A run that fails leaves only its record
        among the `jobs`, and its last state if it can be continued; a dry run leaves nothing.

        Parameters
        ----------
        request : TrainRequest
        on_event : callable
            Called with every `RunEvent`.

        Returns
        -------
        list of RunResult
            In the order of the runs.

        Raises
        ------
        KttError
            If the request is invalid, before anything has run; or if the workspace cannot be
            written.
        """
        from trainer.embedded import train_here

        return train_here(self.workspace, self.jobs, request, on_event)

    def evaluate(
        self,
        dataset: str,
        models: Sequence[str],
        split: str = "test",
        label: str = "best",
        time: str | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> list[EvaluationResult]:
        """Test each model's checkpoint on a split of the dataset it was trained on.

        Parameters and errors are those of `evaluate_on`.
        """
        request = EvaluateRequest(dataset, tuple(models), split, label, time or "")
        return self.evaluate_on(request, progress)

    def evaluate_on(
        self, request: EvaluateRequest, progress: ProgressCallback = ignore_progress
    ) -> list[EvaluationResult]:
        """Test each model's checkpoint on the rows of a request, each in its own process.

        Parameters
        ----------
        request : EvaluateRequest
        progress : callable
            Called with phase "test".

        Raises
        ------
        KttError
            If a name, split or checkpoint does not exist, the split has no rows, or a checkpoint is
            damaged or of another taxonomy. All checkpoints are looked up before the first one is
            tested.
        """
        from trainer.embedded import evaluate_here

        return evaluate_here(self.workspace, self.jobs, request, progress)


def run_policy(step_grace: float = STEP_GRACE) -> RunPolicy:
    """Return the policy by which the trainer's jobs are run.

    Parameters
    ----------
    step_grace : float
        Seconds that a cancelled run has to finish its step and save its state.
    """
    from ktt_jobs import RunPolicy

    return RunPolicy(step_grace=step_grace, memory_advice=_MEMORY_ADVICE)


def jobs_folder(root: Path) -> Path:
    """Return the folder of the trainer's jobs in a workspace."""
    return root / "jobs" / "trainer"
