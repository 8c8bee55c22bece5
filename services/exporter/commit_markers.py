"""Commit markers: files in an export's folder that name the job which published it.

A folder is published together with a file named after its job, which tells recovery after a crash
that the export was published. It is removed once the job's own folder records that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.job_kind import files_of
from ktt_core.atomic import fsync_directory
from ktt_core.errors import KttError, NotFoundError
from ktt_jobs.locks import is_job_id

if TYPE_CHECKING:
    from ktt_jobs import JobService

__all__ = ["record_published", "marker_name", "published_output", "sweep_markers"]

_log = logging.getLogger(__name__)
_PREFIX = ".published-by-"


def marker_name(job_id: str) -> str:
    """Return the name of a job's commit marker."""
    return f"{_PREFIX}{job_id}"


def published_output(folder: Path) -> Path:
    """Return the output file of a job that records that its export was published."""
    return folder / "published"


def record_published(workspace: Path, folder: Path) -> None:
    """Record as published the jobs whose markers an export holds, before it is replaced.

    Markers are left only if the process that published it was killed at that moment.

    Raises
    ------
    OSError
        If the system refuses.
    """
    for job_id, _ in _marks(folder):
        files = files_of(workspace, job_id)
        if files.is_dir():
            published_output(files).touch()
            fsync_directory(files)


def sweep_markers(workspace: Path, jobs: JobService) -> None:
    """Remove the markers of jobs that have ended or do not exist."""
    for folder in [*workspace.glob("outputs/*"), *workspace.glob("build/*")]:
        for job_id, mark in _marks(folder):
            try:
                if _ended(jobs, job_id):
                    mark.unlink(missing_ok=True)
            except (KttError, OSError) as error:
                _log.warning("%s cannot be removed: %s", mark, error)


def _ended(jobs: JobService, job_id: str) -> bool:
    try:
        return jobs.get(job_id).state.ended
    except NotFoundError:
        return True


def _marks(folder: Path) -> Iterator[tuple[str, Path]]:
    for mark in folder.glob(f"{_PREFIX}*"):
        job_id = mark.name.removeprefix(_PREFIX)
        if is_job_id(job_id):
            yield job_id, mark
