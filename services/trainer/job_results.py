"""Results of ended jobs, as the handlers return them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.errors import TrainingError
from trainer.results import EvaluationResult, RunResult
from trainer.specs import EvaluationOutcome, EvaluationSpec, TrainingOutcome, TrainingSpec

if TYPE_CHECKING:
    from ktt_jobs import Job

__all__ = ["evaluation_result", "run_result"]


def run_result(job: Job, root: Path) -> RunResult:
    """Return the result of an ended training job.

    Parameters
    ----------
    job : Job
        An ended job.
    root : Path
        Workspace that the paths of the job's result are relative to.
    """
    spec = TrainingSpec.from_json(job.spec)
    seconds = 0.0
    if job.start_time is not None and job.end_time is not None:
        seconds = (job.end_time - job.start_time).total_seconds()
    error = job.exception(TrainingError)
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
    """Return the result of an evaluation job.

    Raises
    ------
    KttError
        If the job failed: its error.
    """
    error = job.exception()
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


def _details(job: Job) -> str:
    return "\n".join(job.error.log_tail) if job.error else ""
