"""What worker processes do: one function per kind of job, JSON values in and out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktt_core.errors import KttError, TrainingError
from ktt_core.workspace import Workspace
from trainer.specs import EvaluationOutcome, EvaluationSpec, TrainingOutcome, TrainingSpec

if TYPE_CHECKING:
    from ktt_core.checkpoint_staging import StagedRun
    from ktt_jobs import TaskContext
    from trainer.planning import PlannedRun

__all__ = ["evaluate", "import_dataset", "train"]


def train(spec: Mapping[str, Any], context: TaskContext) -> dict[str, Any]:
    """Run a training job: `TrainingSpec` and workspace in, `TrainingOutcome` out."""
    from trainer.planning import plan_training
    from trainer.training import TrainingJob, run_training

    started = time.monotonic()
    workspace, wanted = _workspace(spec, context), TrainingSpec.from_json(spec)
    planned = plan_training(workspace, wanted)
    job = TrainingJob(str(workspace.root), wanted.dataset, wanted.model, planned.config)
    if wanted.dry_run:
        metrics = run_training(job, context.progress)
        return TrainingOutcome(metrics=metrics, seconds=time.monotonic() - started).to_json()
    with ExitStack() as stack:
        staged = _stage(workspace, wanted, stack)
        best, last, reference = _files(staged, planned)
        metrics = run_training(
            TrainingJob(
                job.workspace,
                job.dataset,
                job.model,
                job.config,
                str(best),
                str(last),
                str(reference) if wanted.reference_set else None,
            ),
            context.progress,
        )
        written = {
            file.name: staged.folder / file.name
            for file in (best, last, reference)
            if file.is_file()
        }
        checkpoint = written.get(best.name) or written.get(last.name)
        result = TrainingOutcome(
            checkpoint_path=_relative(checkpoint, workspace),
            reference_path=_relative(written.get(reference.name), workspace),
            run_time=staged.time,
            metrics=metrics,
            seconds=time.monotonic() - started,
        ).to_json()
        with context.publishing(result, proof=list(written.values())):
            try:
                staged.publish()
            except OSError as error:
                raise TrainingError(
                    f"the checkpoint cannot be written: {error.strerror}: {error.filename}"
                ) from error
    return result


def evaluate(spec: Mapping[str, Any], context: TaskContext) -> dict[str, Any]:
    """Run an evaluation job: `EvaluationSpec` and workspace in, `EvaluationOutcome` out."""
    from trainer.evaluating import evaluate_model

    workspace = _workspace(spec, context)
    wanted = EvaluationSpec.from_json(spec)
    result = evaluate_model(workspace, wanted, context.progress)
    return EvaluationOutcome(
        checkpoint_path=_relative(result.checkpoint, workspace),
        rows=result.rows,
        figures=result.metrics,
        warnings=tuple(result.warnings),
    ).to_json()


def import_dataset(spec: Mapping[str, Any], context: TaskContext) -> dict[str, Any]:
    """Import a file: source, folder, options and whether to replace in, an `ImportReport` out."""
    from ktt_core.datasets.importer import import_dataset
    from ktt_core.datasets.options import ImportOptions

    options = ImportOptions.from_json(spec["options"])
    return import_dataset(
        Path(spec["source"]),
        Path(spec["folder"]),
        options,
        context.progress,
        replace=spec["replace"],
    ).to_json()


def _stage(workspace: Workspace, spec: TrainingSpec, stack: ExitStack) -> StagedRun:
    from ktt_core.checkpoint_staging import stage_run

    try:
        workspace.sweep()
        return stack.enter_context(stage_run(workspace.weights_folder(spec.model, spec.dataset)))
    except OSError as error:
        raise KttError(
            f"the workspace cannot be written: {error.strerror}: {error.filename}"
        ) from error


def _files(staged: StagedRun, planned: PlannedRun) -> tuple[Path, Path, Path]:
    from ktt_core.checkpoint_names import checkpoint_path, reference_path

    hidden, suffix = staged.staging, planned.checkpoint_suffix
    return (
        checkpoint_path(hidden, "best", staged.time, suffix),
        checkpoint_path(hidden, "last", staged.time, suffix),
        reference_path(hidden, staged.time),
    )


def _workspace(spec: Mapping[str, Any], context: TaskContext) -> Workspace:
    """Return the workspace that a job lies in, or that its spec names if it lies in none."""
    named = spec.get("workspace")
    if named is not None:
        return Workspace(Path(named))
    # <workspace>/jobs/trainer/jobs.sqlite: a workspace may have moved since the job was made.
    store = next(folder for folder in context.folder.parents if (folder / "jobs.sqlite").exists())
    return Workspace(store.parents[1])


def _relative(path: Path | None, workspace: Workspace) -> str:
    return path.relative_to(workspace.root).as_posix() if path else ""
