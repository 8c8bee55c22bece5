"""Running of jobs without a server: each in its own process, stored like a server's."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktt_core.errors import InvalidArgumentError, KttError
from ktt_core.progress import ProgressCallback
from ktt_core.registry import get_config_class, list_models
from ktt_jobs import JobService, RunPolicy
from trainer.cleanup import clean_up
from trainer.error_table import FILE_NAME
from trainer.evaluation_plan import check_evaluation
from trainer.job_results import evaluation_result, run_result
from trainer.planning import PlannedRun, check_all
from trainer.requests import EvaluateRequest, Run, TrainRequest
from trainer.results import EvaluationResult, RunEvent, RunResult
from trainer.specs import EVALUATION, TASKS, TRAINING

if TYPE_CHECKING:
    from ktt_core.workspace import Workspace
    from ktt_jobs import JobEvent

__all__ = ["evaluate_here", "temporary_jobs", "train_here"]


@contextlib.contextmanager
def temporary_jobs(
    tasks: Mapping[str, str],
    parent: Path | None = None,
    policy: RunPolicy = RunPolicy(),  # noqa: B008 - it cannot be changed
) -> Iterator[JobService]:
    """Yield a temporary store of jobs, for dry runs and imports.

    Parameters
    ----------
    tasks : mapping of str to str
        As `JobService` takes them.
    parent : Path, optional
        Location of their temporary folder. Default: the system's.
    policy : RunPolicy
        How they are run.
    """
    with tempfile.TemporaryDirectory(prefix="ktt-", dir=parent) as folder:
        jobs = JobService(Path(folder), tasks, policy=policy)
        try:
            yield jobs
        finally:
            jobs.close()


def train_here(
    workspace: Workspace,
    jobs: JobService,
    request: TrainRequest,
    on_event: Callable[[RunEvent], None],
) -> list[RunResult]:
    """Run a request's runs one after the other; see `trainer.handlers.Trainer.train`."""
    specs = request.expand(
        lambda: [entry.id for entry in list_models()],
        lambda model: get_config_class(model).model_fields,
    )
    planned, left_out = check_all(workspace, specs)
    for spec, why in left_out:
        run = Run(0, len(planned), spec.dataset, spec.model)
        on_event(RunEvent(run, "notice", message=why))
    results = []
    for index, one in enumerate(planned):
        run = Run(index, len(planned), one.spec.dataset, one.spec.model)
        on_event(RunEvent(run, "started"))
        result = _train_one(workspace, jobs, run, one, on_event)
        kind = "finished" if result.error is None else "failed"
        on_event(RunEvent(run, kind, result=result))  # type: ignore[arg-type]
        results.append(result)
    return results


def _train_one(
    workspace: Workspace,
    jobs: JobService,
    run: Run,
    planned: PlannedRun,
    on_event: Callable[[RunEvent], None],
) -> RunResult:
    spec = planned.spec
    if planned.continued is not None:
        spec = replace(spec, resume_time=planned.continued.time)

    def follow(event: JobEvent) -> None:
        if event.progress is not None:
            on_event(RunEvent(run, "progress", event.progress))

    def wait(seconds: float) -> None:
        message = (
            f"stopping: it finishes its step and saves its state, within {seconds:.0f} s "
            "(again: end it at once)"
        )
        on_event(RunEvent(run, "notice", message=message))

    try:
        with _keeping(workspace, jobs, keep=not spec.dry_run) as (service, where):
            job = service.run(
                TRAINING.name,
                {**spec.to_json(), **where},
                labels=spec.labels,
                on_event=follow,
                on_wait=wait,
            )
    finally:
        if not spec.dry_run:
            clean_up(workspace)
    result = run_result(job, workspace.root)
    if type(result.error) is KttError:
        # The run is not at fault: the system refuses, and would refuse the other runs too.
        raise result.error
    return result


def evaluate_here(
    workspace: Workspace,
    jobs: JobService,
    request: EvaluateRequest,
    progress: ProgressCallback,
) -> list[EvaluationResult]:
    """Test checkpoints one after the other; see `trainer.handlers.Trainer.evaluate_on`."""
    file = request.rows.file
    wanted = request.specs(on_file=str(file.absolute()) if file else "")
    if not wanted:
        raise InvalidArgumentError("name at least one model to evaluate")
    for spec in wanted:
        check_evaluation(workspace, spec)

    def follow(event: JobEvent) -> None:
        if event.progress is not None:
            progress(event.progress)

    results: list[EvaluationResult] = []
    for spec in wanted:
        # A read-only workspace can be evaluated, too.
        writable = os.access(workspace.root, os.W_OK)
        with _keeping(workspace, jobs, keep=writable) as (service, where):
            job = service.run(
                EVALUATION.name, {**spec.to_json(), **where}, labels=spec.labels, on_event=follow
            )
            result = evaluation_result(job, workspace.root)
            if request.errors_folder is not None:
                # Texts are not left in temporary folders.
                errors = request.errors_folder / f"{len(results)}.parquet"
                shutil.move(service.files(job.id) / FILE_NAME, errors)
                result = replace(result, errors=errors)
        results.append(result)
    return results


@contextlib.contextmanager
def _keeping(
    workspace: Workspace, jobs: JobService, *, keep: bool
) -> Iterator[tuple[JobService, dict[str, Any]]]:
    """Yield the folder of a job, and the workspace entry of its spec."""
    if keep:
        yield jobs, {}
    else:
        with temporary_jobs(TASKS, policy=jobs.policy) as temporary:
            yield temporary, {"workspace": str(workspace.root.absolute())}
