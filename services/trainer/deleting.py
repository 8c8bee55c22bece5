"""Deleting datasets."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ktt_core.atomic import TEMPORARY_PREFIX, fsync_directory
from ktt_core.errors import FailedPreconditionError, NotFoundError
from ktt_jobs.records import JobRecords
from trainer.os_errors import typed_os_errors

if TYPE_CHECKING:
    from ktt_core.workspace import Workspace
    from ktt_jobs import Job, JobService

__all__ = ["delete_dataset"]

_SHOWN = 3


def delete_dataset(workspace: Workspace, jobs: JobService, name: str) -> None:
    """Delete a dataset in one step; see `trainer.handlers.Trainer.delete_dataset`."""
    folder = workspace.dataset_folder(name)
    if not folder.is_dir():
        known = ", ".join(workspace.datasets()) or "none"
        raise NotFoundError(f"there is no dataset {name!r}; there are: {known}")
    needing = [*jobs.active({"dataset": name}), *jobs.active({"on": name})]
    needing += _elsewhere(workspace, jobs, name)
    active = list({job.id: job for job in needing}.values())
    if active:
        shown = ", ".join(f"{job.id} ({job.kind}, {job.state.lower()})" for job in active[:_SHOWN])
        more = f" and {len(active) - _SHOWN} more" if len(active) > _SHOWN else ""
        raise FailedPreconditionError(
            f"the dataset {name!r} is needed by {shown}{more}: wait for its end, or cancel it"
        )
    # A reader that has opened it keeps its files. What a crash leaves, the next sweep removes.
    gone = folder.with_name(f"{TEMPORARY_PREFIX}deleted-{name}")
    shutil.rmtree(gone, ignore_errors=True)
    with typed_os_errors(f"the dataset {name!r} cannot be deleted"):
        try:
            folder.rename(gone)
        except FileNotFoundError:
            raise NotFoundError(f"the dataset {name!r} does not exist any more") from None
        fsync_directory(folder.parent)
    shutil.rmtree(gone, ignore_errors=True)
    workspace.remove_caches(name)


def _elsewhere(workspace: Workspace, jobs: JobService, name: str) -> list[Job]:
    """Return the jobs of the workspace's other services that need a dataset: exports, say."""
    found: list[Job] = []
    for store in sorted((workspace.root / "jobs").glob("*/jobs.sqlite")):
        if store.parent == jobs.folder:
            continue
        records = JobRecords(store.parent)
        try:
            found += records.active({"dataset": name})
        finally:
            records.close()
    return found
