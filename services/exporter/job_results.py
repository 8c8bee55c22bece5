"""What came of ended jobs, as the handlers answer it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.results import ExportResult
from ktt_core.errors import JobFailedError, error_class

if TYPE_CHECKING:
    from ktt_jobs import Job

__all__ = ["result_of"]


def result_of(job: Job) -> ExportResult:
    """Return what an export job made.

    Parameters
    ----------
    job : Job
        One that has ended.

    Raises
    ------
    KttError
        Why it made nothing, as its task raised it; JobFailedError if it was cancelled or its
        process died.
    """
    if job.result is not None:
        return ExportResult.from_json(job.result)
    if job.error is None:
        raise JobFailedError(f"the export {job.id} was cancelled; nothing was published")
    raise (error_class(job.error.type) or JobFailedError)(job.error.message)
