"""What a task sees of the job it is part of."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ktt_core.atomic import fsync_directory
from ktt_core.errors import ConflictError
from ktt_core.progress import Progress
from ktt_jobs.publishing import promise, withdraw

__all__ = ["EventWriter", "TaskContext"]

# Events of one phase are at least this far apart, in seconds: a bar needs no more.
_EVENT_INTERVAL = 0.05


class EventWriter:
    """Writes events as lines of JSON, progress only as often as a person can see.

    Parameters
    ----------
    stream : text file
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._phase = ""
        self._last = 0.0

    def write(self, event: str, value: Mapping[str, Any]) -> None:
        """Write one event."""
        line = json.dumps({"event": event, **value}) + "\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()

    def progress(self, progress: Progress) -> None:
        """Write a phase's first and last step, and what comes in between now and then."""
        now = time.monotonic()
        ends = progress.phase != self._phase or progress.step == progress.total
        if not ends and now - self._last < _EVENT_INTERVAL:
            return
        self._phase, self._last = progress.phase, now
        self.write(
            "progress",
            {
                "phase": str(progress.phase),
                "step": int(progress.step),
                "total": None if progress.total is None else int(progress.total),
                "unit": str(progress.unit),
                "metrics": {name: float(figure) for name, figure in progress.metrics.items()},
            },
        )


class TaskContext:
    """Handed to a task in its worker: ``def task(spec: dict, context: TaskContext) -> dict``.

    A task takes and returns JSON values, and raises `KttError` for what a user can mend. What it
    makes for others to see it first writes out of sight, and publishes within `publishing`. It may
    be run again from its beginning if the server dies before that.

    Parameters
    ----------
    job_id : str
    attempt : int
    folder : Path
        The job's; its subfolder ``files`` is the task's.
    events : EventWriter

    Attributes
    ----------
    job_id : str
    attempt : int
        From 1.
    folder : Path
        The job's own folder for files: empty when a task begins, kept if the job succeeds (until it
        is pruned), else removed. It is in the workspace's file system.
    """

    def __init__(self, job_id: str, attempt: int, folder: Path, events: EventWriter) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self.folder = folder / "files"
        self._job_folder = folder
        self._events = events
        self._published: dict[str, Any] | None = None
        self._publishing = False

    @property
    def stoppable(self) -> bool:
        """Whether the task may be stopped: not once it publishes."""
        return not self._publishing

    @property
    def published(self) -> dict[str, Any] | None:
        """The result, once it is published."""
        return self._published

    def progress(self, progress: Progress) -> None:
        """Tell how far the task is; as often as it likes. Usable as a `ProgressCallback`."""
        self._events.progress(progress)

    @contextlib.contextmanager
    def publishing(
        self,
        result: Mapping[str, Any],
        proof: Path | Sequence[Path] = (),
        *,
        sign: Path | None = None,
    ) -> Iterator[None]:
        """Publish the task's files in the body: at most once, and never without the result.

        The result is made durable first; then the body moves the finished files where others see
        them. A request to stop waits until the body is done, and comes too late then. If the body
        raises, the proofs are removed and the result is withdrawn. Nothing should come after it:
        its `result` is the job's, whatever the task returns.

        Parameters
        ----------
        result : mapping
            JSON values; what the job's `result` will be.
        proof : Path or sequence of Path
            Files or folders which exist once the body is done, and not before (so their names are
            this job's alone). After a crash they tell what happened: all are there: the job has
            succeeded; else those that are there are removed, and the job may be run again.
        sign : Path, optional
            For a body that puts a folder in another's place: a file named after the job that the
            new one holds. It is there from that moment on, so the job has succeeded even if the
            proofs are not there yet. Once they are, it may go.

        Raises
        ------
        ConflictError
            If a proof or the sign exists already.
        """
        if self._published is not None or self._publishing:
            raise ConflictError("this job has published its result already")
        proofs = [proof] if isinstance(proof, os.PathLike) else list(proof)
        for path in [*proofs, *([] if sign is None else [sign])]:
            if os.path.lexists(path):
                raise ConflictError(f"{path} exists already")
        self._publishing = True
        try:
            promise(self._job_folder, result, proofs, sign)
            yield
            for path in proofs:
                fsync_directory(path.parent)
            self._published = dict(result)
        except BaseException:
            withdraw(self._job_folder)
            self._publishing = False
            raise
