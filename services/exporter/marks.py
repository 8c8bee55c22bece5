"""What an export's folder tells of the job that made it, as long as that matters.

A folder comes to its place with a file named after its job: the job's mark. Whoever looks after a
killed job learns from it that the export was published. It goes once that is known elsewhere.
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

__all__ = ["hand_over", "mark_name", "proof_in", "sweep_marks"]

_log = logging.getLogger(__name__)
_PREFIX = ".published-by-"


def mark_name(job_id: str) -> str:
    """Return the name of a job's mark."""
    return f"{_PREFIX}{job_id}"


def proof_in(folder: Path) -> Path:
    """Return what proves in a job's folder of files that its export was published."""
    return folder / "published"


def hand_over(workspace: Path, folder: Path) -> None:
    """Let the jobs whose marks an export bears keep their proof, before it is replaced.

    There are such only if the process that published it was killed at that very moment.

    Raises
    ------
    OSError
        If the system refuses.
    """
    for job_id, _ in _marks(folder):
        files = files_of(workspace, job_id)
        if files.is_dir():
            proof_in(files).touch()
            fsync_directory(files)


def sweep_marks(workspace: Path, jobs: JobService) -> None:
    """Remove the marks of jobs that have ended, or are no more."""
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
