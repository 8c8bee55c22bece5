"""The trainer's handlers: plain values in and out, `KttError` for what a user can mend."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.checkpoint_names import checkpoint_path, reference_path
from ktt_core.checkpoint_staging import stage_run
from ktt_core.errors import KttError, TrainingError
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_core.registry import get_model, list_models
from trainer.requests import Run, TrainRequest
from trainer.results import (
    CheckpointInfo,
    DatasetInfo,
    EvaluationResult,
    ModelInfo,
    RunEvent,
    RunResult,
)

if TYPE_CHECKING:
    from ktt_core.datasets.options import ImportOptions
    from ktt_core.datasets.report import ImportReport
    from ktt_core.workspace import Workspace
    from trainer.planning import PlannedRun
    from trainer.training import TrainingJob

__all__ = ["Trainer"]

EventCallback = Callable[[RunEvent], None]


def _ignore(event: RunEvent) -> None:
    """Drop the event: the default when nobody watches."""


class Trainer:
    """Everything that happens to datasets, training runs and their checkpoints in one workspace.

    Constructing it imports nothing heavy and makes no folder.

    Parameters
    ----------
    workspace : Path
        The folder with ``datasets/`` and ``weights/``; made when something is written.
    """

    def __init__(self, workspace: Path) -> None:
        self.root = Path(workspace)

    @property
    def workspace(self) -> Workspace:
        """The workspace; raises InvalidArgumentError if its folder is a file."""
        from ktt_core.workspace import Workspace

        return Workspace(self.root)

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
        """Make a dataset of a file, as `ktt_core.datasets.importer.import_dataset` does."""
        from ktt_core.datasets.importer import import_dataset

        folder = self.workspace.dataset_folder(name)
        return import_dataset(source, folder, options, progress, replace=replace)

    def list_datasets(self) -> list[DatasetInfo]:
        """Return every dataset by name; a damaged one carries its `problem`."""
        from trainer.catalogue import list_all_datasets

        return list_all_datasets(self.workspace)

    def get_dataset(self, name: str) -> DatasetInfo:
        """Return one dataset.

        Raises
        ------
        InvalidArgumentError, NotFoundError, DataError
            If the name is not valid, nothing has it, or it is damaged.
        """
        from trainer.catalogue import describe_dataset

        return describe_dataset(self.workspace.open_dataset(name))

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

        get_model(model_id)
        entry = next(entry for entry in list_models() if entry.id == model_id)
        return describe_model(entry, hyperparameters=True)

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

    # -- training and testing ----------------------------------------------------------------------

    def train(self, request: TrainRequest, on_event: EventCallback = _ignore) -> list[RunResult]:
        """Train every model on every dataset, one run after the other, each in its own process.

        Everything is checked before the first run starts. A run that fails then is a result with
        its `error`, and the others go on. If this process is interrupted, or `on_event` raises, the
        run is stopped and the exception goes on. A run that does not end well leaves no file.

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
            If something of the request cannot be done; nothing has run then.
        """
        from trainer.planning import plan_runs

        results = []
        for planned in plan_runs(self.workspace, request):
            on_event(RunEvent(planned.run, "started"))
            result = self._train_one(planned, request, on_event)
            kind = "finished" if result.error is None else "failed"
            on_event(RunEvent(planned.run, kind, result=result))  # type: ignore[arg-type]
            results.append(result)
        return results

    def _train_one(
        self, planned: PlannedRun, request: TrainRequest, on_event: EventCallback
    ) -> RunResult:
        from trainer.training import TrainingJob

        run, config = planned.run, planned.config
        job = TrainingJob(str(self.root), run.dataset, run.model, config)
        if request.dry_run:
            return _run(run, job, on_event)
        workspace = self.workspace
        folder = workspace.weights_folder(run.model, run.dataset)
        try:
            with ExitStack() as stack:
                try:
                    workspace.sweep()
                    staged = stack.enter_context(stage_run(folder))
                except OSError as error:
                    raise KttError(
                        f"the workspace cannot be written: {error.strerror}: {error.filename}"
                    ) from error
                suffix, hidden = planned.checkpoint_suffix, staged.staging
                best, last, reference = (
                    checkpoint_path(hidden, "best", staged.time, suffix),
                    checkpoint_path(hidden, "last", staged.time, suffix),
                    reference_path(hidden, staged.time),
                )
                job = TrainingJob(
                    str(self.root),
                    run.dataset,
                    run.model,
                    config,
                    str(best),
                    str(last),
                    str(reference) if request.reference else None,
                )
                result = _run(run, job, on_event)
                if result.error is not None:
                    return result
                try:
                    staged.publish()
                except OSError as error:
                    reason = f"{error.strerror}: {error.filename}"
                    return replace(
                        result, error=TrainingError(f"the checkpoint cannot be written: {reason}")
                    )
                return replace(
                    result,
                    checkpoint=_first_file(folder / best.name, folder / last.name),
                    reference=_first_file(folder / reference.name),
                )
        finally:
            # What processes that were killed outright had begun to write.
            workspace.sweep()

    def evaluate(
        self,
        dataset: str,
        models: Sequence[str],
        split: str = "test",
        label: str = "best",
        time: str | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> list[EvaluationResult]:
        """Test each model's checkpoint on a split.

        Parameters
        ----------
        dataset : str
        models : sequence of str
        split : str
            "train", "val" or "test".
        label, time : str
            Which checkpoint: "best" or "last", of the newest run or of that time.
        progress : callable
            Called with phase "test".

        Raises
        ------
        KttError
            If a name, split or checkpoint does not exist, the split has no rows, or a checkpoint is
            damaged or of another taxonomy. All checkpoints are looked up before the first one is
            tested.
        """
        from trainer.evaluating import evaluate_models

        return evaluate_models(self.workspace, dataset, models, split, label, time, progress)


def _run(run: Run, job: TrainingJob, on_event: EventCallback) -> RunResult:
    from trainer.process import RunFailedError, run_in_process

    def on_progress(progress: Progress) -> None:
        on_event(RunEvent(run, "progress", progress))

    started = time.monotonic()
    metrics, error, details = {}, None, ""
    try:
        metrics = run_in_process(job, on_progress).metrics
    except RunFailedError as failure:
        error, details = failure.error, failure.details
    return RunResult(
        dataset=run.dataset,
        model=run.model,
        seconds=time.monotonic() - started,
        metrics=metrics,
        error=error,
        details=details,
    )


def _first_file(*paths: Path) -> Path | None:
    return next((path for path in paths if path.is_file()), None)
