"""What a task sees of the job it is part of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ktt_core.progress import Progress

__all__ = ["TaskContext"]


class TaskContext:
    """Handed to a task in its worker process: ``def task(spec: dict, context: TaskContext) -> dict``.

    A task takes JSON values and returns JSON values, and raises `KttError` for what a user can mend.
    What it makes for others to see it first writes out of sight, and publishes within
    `publishing`. It may be run again from its beginning if the server dies before that.

    Attributes
    ----------
    job_id : str
    attempt : int
        From 1.
    folder : Path
        The job's own folder for files: empty when a task begins, kept if the job succeeds (until it
        is pruned), else removed. It is in the same file system as the workspace.
    """

    def __init__(self, job_id: str, attempt: int, folder: Path) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self.folder = folder

    def progress(self, progress: Progress) -> None:
        """Tell how far the task is; as often as it likes. Usable as a `ProgressCallback`."""
        raise NotImplementedError

    @contextlib.contextmanager
    def publishing(
        self, result: Mapping[str, Any], proof: Path | Sequence[Path] = ()
    ) -> Iterator[None]:
        """Publish the task's files in the body: at most once, and never without the result.

        The result is made durable first; then the body moves the finished files where others see
        them. A request to stop waits until the body is done. The task ends after it, and
        returns `result`.

        Parameters
        ----------
        result : mapping
            JSON values; what the job's `result` will be.
        proof : Path or sequence of Path
            Files or one folder which exist once the body is done, and not before (so their names
            are this job's alone). After a crash they tell what happened: all are there: the job has
            succeeded; none: it is run again; some: these files are removed, then it is run again.

        Raises
        ------
        ConflictError
            If a proof exists already.
        """
        raise NotImplementedError
        yield
