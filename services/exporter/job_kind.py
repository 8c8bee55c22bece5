"""The exporter's kinds of jobs and the location of its store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.requests import ExportSpec
from exporter.results import ExportResult
from ktt_jobs.kinds import JobKind

if TYPE_CHECKING:
    from ktt_jobs import JobService

__all__ = ["EXPORT", "KINDS", "files_of", "open_jobs", "workspace_of"]

EXPORT = JobKind(
    name="export",
    spec=ExportSpec,
    outcome=ExportResult,
    codec="exporter.messages:CODEC",
    validate="exporter.checking:validate",
    task="exporter.exporting:run_export",
)

#: The kinds of jobs.
KINDS = (EXPORT,)

_STORE = Path("jobs", "exporter")


def open_jobs(workspace: Path, **settings: Any) -> JobService:
    """Return the jobs of a workspace's exports; `settings` are those of `JobService`."""
    from ktt_jobs import JobService

    return JobService(workspace / _STORE, {kind.name: kind.task for kind in KINDS}, **settings)


def files_of(workspace: Path, job_id: str) -> Path:
    """Return the private folder of an export job's task; it need not exist."""
    from ktt_jobs.records import JobRecords

    return JobRecords(workspace / _STORE).files(job_id)


def workspace_of(folder: Path) -> Path:
    """Return the workspace of a job's folder; it may have moved since the job was created.

    Raises
    ------
    ValueError
        If there is none.
    """
    for parent in folder.parents:
        if parent.parts[-2:] == _STORE.parts:
            return parent.parents[1]
    raise ValueError(f"{folder} is not in a store of export jobs: {_STORE} is not part of it")
