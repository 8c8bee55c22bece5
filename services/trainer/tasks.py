"""Tasks of worker processes: one function per kind of job, JSON values in and out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktt_core.errors import KttError, TrainingError
from ktt_core.model_code import blaming_models
from ktt_core.workspace import Workspace
from trainer.specs import EvaluationSpec, TrainingOutcome, TrainingSpec

if TYPE_CHECKING:
    from ktt_core.checkpoints.staging import StagedRun
    from ktt_core.model import Model
    from ktt_jobs import TaskContext
    from trainer.planning import PlannedRun
    from trainer.training import RunFiles

__all__ = ["evaluate", "import_dataset", "train"]


@blaming_models(logged=True)
def train(spec: Mapping[str, Any], context: TaskContext) -> dict[str, Any]:
    """Run a training job: `TrainingSpec` and workspace in, `TrainingOutcome` out."""
    from ktt_core.registry import get_model
    from trainer.planning import check
    from trainer.resuming import write_run_time
    from trainer.training import run_training

    started = time.monotonic()
    workspace = _workspace(spec, context)
    wanted = _going_on(workspace, TrainingSpec.from_json(spec), context)
    planned = check(workspace, wanted)
    model_class = get_model(wanted.model)
    if wanted.dry_run:
        trained = run_training(workspace, planned, progress=context.progress)
        return TrainingOutcome(
            metrics=trained.metrics,
            seconds=time.monotonic() - started,
            warnings=trained.warnings,
        ).to_json()
    with ExitStack() as stack:
        staged = _stage(workspace, wanted, planned, stack)
        files = _files_of(staged, planned, model_class)
        if model_class.resumable and files.last is not None:
            write_run_time(context.keep, staged.time)
            context.set_failure_hint(
                "its last state is kept: continue it with: "
                f"ktt train {wanted.dataset} -m {wanted.model} --resume",
                if_there=files.last,
            )
        trained = run_training(
            workspace,
            planned,
            files,
            context.progress,
            context.taking_steps if model_class.resumable else nullcontext,
        )
        written = _written(files, staged.folder)
        # The last state of a resumable model is in its final place already.
        checkpoint = written.get(files.best) or written.get(files.last) or files.last
        result = TrainingOutcome(
            checkpoint_path=_relative(checkpoint, workspace),
            reference_path=_relative(written.get(files.reference), workspace),
            report_path=_relative(written.get(files.report), workspace),
            run_time=staged.time,
            metrics=trained.metrics,
            seconds=time.monotonic() - started,
            warnings=trained.warnings,
            resumed=planned.continued is not None,
        ).to_json()
        with context.publishing(result, outputs=list(written.values())):
            try:
                staged.publish()
            except OSError as error:
                raise TrainingError(
                    f"the checkpoint cannot be written: {error.strerror}: {error.filename}"
                ) from error
    return result


@blaming_models(logged=True)
def evaluate(spec: Mapping[str, Any], context: TaskContext) -> dict[str, Any]:
    """Run an evaluation job: `EvaluationSpec` and workspace in, `EvaluationOutcome` out."""
    from trainer.error_table import FILE_NAME
    from trainer.evaluating import evaluate_model

    workspace = _workspace(spec, context)
    wanted = EvaluationSpec.from_json(spec)
    return evaluate_model(
        workspace,
        wanted,
        context.progress,
        # Leftovers of a killed process are removed with the job.
        folder=context.keep,
        errors_path=context.folder / FILE_NAME if wanted.list_errors else None,
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


def _going_on(workspace: Workspace, spec: TrainingSpec, context: TaskContext) -> TrainingSpec:
    """Return the spec of this attempt, which continues the run of an earlier one."""
    from trainer.resuming import last_states, read_run_time

    begun = read_run_time(context.keep)
    if begun and begun in last_states(workspace.weights_folder(spec.model, spec.dataset)):
        return replace(spec, resume=True, resume_time=begun)
    return spec


def _files_of(staged: StagedRun, planned: PlannedRun, model_class: type[Model]) -> RunFiles:
    """Return the files of a run: in a hidden folder, except for the state to continue from."""
    from ktt_core.checkpoints.paths import checkpoint_path, reference_path, report_path
    from trainer.training import RunFiles

    hidden = staged.staging
    suffix = model_class.checkpoint_suffix
    # The state to continue from must survive a crash of the run.
    place = staged.folder if model_class.resumable else hidden
    last = checkpoint_path(place, "last", staged.time, suffix)
    return RunFiles(
        best=checkpoint_path(hidden, "best", staged.time, suffix),
        last=planned.continued.last if planned.continued else last,
        reference=reference_path(hidden, staged.time) if planned.spec.reference_set else None,
        report=report_path(hidden, staged.time),
    )


def _written(files: RunFiles, folder: Path) -> dict[Path | None, Path]:
    """Return the written files in the hidden folder, with their final paths."""
    return {
        file: folder / file.name
        for file in (files.best, files.last, files.reference, files.report)
        if file is not None and file.is_file() and file.parent != folder
    }


def _stage(
    workspace: Workspace, spec: TrainingSpec, planned: PlannedRun, stack: ExitStack
) -> StagedRun:
    from ktt_core.checkpoints.staging import stage_run

    try:
        workspace.sweep()
        folder = workspace.weights_folder(spec.model, spec.dataset)
        run_time = planned.continued.time if planned.continued else None
        return stack.enter_context(stage_run(folder, run_time))
    except OSError as error:
        raise KttError(
            f"the workspace cannot be written: {error.strerror}: {error.filename}"
        ) from error


def _workspace(spec: Mapping[str, Any], context: TaskContext) -> Workspace:
    """Return the workspace that contains a job, or else the one that its spec names."""
    named = spec.get("workspace")
    if named is not None:
        return Workspace(Path(named))
    # <workspace>/jobs/trainer/jobs.sqlite: a workspace may have moved since the job was made.
    store = next(folder for folder in context.folder.parents if (folder / "jobs.sqlite").exists())
    return Workspace(store.parents[1])


def _relative(path: Path | None, workspace: Workspace) -> str:
    return path.relative_to(workspace.root).as_posix() if path else ""
