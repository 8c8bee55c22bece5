"""What came of ended jobs, as the handlers answer it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.errors import JobFailedError, KttError, TrainingError, error_class
from trainer.results import EvaluationResult, RunResult
from trainer.specs import TRAINING, EvaluationOutcome, EvaluationSpec, TrainingOutcome, TrainingSpec

if TYPE_CHECKING:
    from ktt_jobs import Job

__all__ = ["evaluation_result", "job_error", "run_result"]


def run_result(job: Job, root: Path) -> RunResult:
    """Return how a training job ended.

    Parameters
    ----------
    job : Job
        One that has ended.
    root : Path
        The workspace, to which the paths of the job's result are relative.
    """
    spec = TrainingSpec.from_json(job.spec)
    seconds = 0.0
    if job.start_time is not None and job.end_time is not None:
        seconds = (job.end_time - job.start_time).total_seconds()
    error = job_error(job)
    if error is not None:
        return RunResult(spec.dataset, spec.model, seconds, error=error, details=_details(job))
    outcome = TrainingOutcome.from_json(job.result or {})
    return RunResult(
        dataset=spec.dataset,
        model=spec.model,
        seconds=outcome.seconds,
        checkpoint=root / outcome.checkpoint_path if outcome.checkpoint_path else None,
        reference=root / outcome.reference_path if outcome.reference_path else None,
        report=root / outcome.report_path if outcome.report_path else None,
        run_time=outcome.run_time,
        resumed=outcome.resumed,
        metrics=outcome.metrics,
        warnings=outcome.warnings,
    )


def evaluation_result(job: Job, root: Path) -> EvaluationResult:
    """Return what an evaluation job measured.

    Raises
    ------
    KttError
        Why it did not.
    """
    error = job_error(job)
    if error is not None:
        raise error
    spec = EvaluationSpec.from_json(job.spec)
    outcome = EvaluationOutcome.from_json(job.result or {})
    return EvaluationResult(
        model=spec.model,
        dataset=spec.dataset,
        split=spec.split_of_rows,
        checkpoint=root / outcome.checkpoint_path,
        rows=outcome.rows,
        metrics=outcome.figures,
        warnings=list(outcome.warnings),
        seconds=outcome.seconds,
        on=outcome.on,
        all_rows=outcome.all_rows,
        unknown=outcome.unknown,
        seen_rows=outcome.seen_rows,
        comparison=outcome.comparison,
        error_rows=outcome.error_rows,
    )


def job_error(job: Job) -> KttError | None:
    """Return why a job has no result, as the error that its task raised; None if it has one."""
    if job.result is not None:
        return None
    general = TrainingError if job.kind == TRAINING.name else JobFailedError
    if job.error is None:
        return general(f"the job {job.id} was cancelled")
    kind = error_class(job.error.type) or general
    if job.kind == TRAINING.name and issubclass(kind, JobFailedError):
        kind = general
    return kind(job.error.message)


def _details(job: Job) -> str:
    return "\n".join(job.error.log_tail) if job.error else ""
