"""The interface of a job for its task."""

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
from ktt_jobs.kept_state import keep_folder, write_failure_hint
from ktt_jobs.publishing import abort, prepare

__all__ = ["EventWriter", "StoppedError", "TaskContext"]

# Minimum seconds between events of one phase.
_EVENT_INTERVAL = 0.05


class StoppedError(BaseException):
    """The parent asked the task to stop. Not an `Exception`, so that no handler swallows it."""


class EventWriter:
    """Writes events as lines of JSON, and limits the rate of progress events.

    Parameters
    ----------
    stream : text file
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._phase = ""
        self._last = 0.0
        self._skipped: Progress | None = None

    def write(self, event: str, value: Mapping[str, Any]) -> None:
        """Write one event."""
        line = json.dumps({"event": event, **value}) + "\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()

    def progress(self, progress: Progress) -> None:
        """Write a phase's first and last step, and others at intervals."""
        now = time.monotonic()
        begins = progress.phase != self._phase
        if not begins and progress.step != progress.total and now - self._last < _EVENT_INTERVAL:
            self._skipped = progress
            return
        skipped, self._skipped = self._skipped, None
        if begins and skipped is not None:
            # The last progress of the phase that was interrupted.
            self._write_progress(skipped)
        self._phase, self._last = progress.phase, now
        self._write_progress(progress)

    def _write_progress(self, progress: Progress) -> None:
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

    A task takes and returns JSON values, and raises `KttError` for errors a user can fix. It writes
    its files to a hidden place first, and publishes them within `publishing`. It may be run again
    from the beginning if the server dies before that.

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
    keep : Path
        A folder for state that the next attempt needs if this one dies or is requeued; removed when
        the job has ended.
    """

    def __init__(self, job_id: str, attempt: int, folder: Path, events: EventWriter) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self.folder = folder / "files"
        self.keep = keep_folder(folder)
        self._job_folder = folder
        self._events = events
        self._published: dict[str, Any] | None = None
        self._publishing = False
        self._takes_steps = False
        self._asked_to_stop = False

    @property
    def stoppable(self) -> bool:
        """Whether the task may be stopped: not once it publishes."""
        return not self._publishing

    @property
    def published(self) -> dict[str, Any] | None:
        """The result, once it is published."""
        return self._published

    def progress(self, progress: Progress) -> None:
        """Report progress; may be called at any rate. Usable as a `ProgressCallback`.

        Raises
        ------
        StoppedError
            Within `taking_steps`, once, if the task was asked to stop meanwhile.
        """
        self._events.progress(progress)
        self._end_if_asked()

    @contextlib.contextmanager
    def taking_steps(self) -> Iterator[None]:
        """Defer requests to stop, in the body, to the next call of `progress`.

        For work that can be continued, so that it can finish a step and save its state. Elsewhere a
        request to stop raises immediately. The process is killed if this takes longer than the
        grace period, or at a second request.

        Raises
        ------
        StoppedError
            At the end of the body, if the request came after its last call of `progress`.
        """
        self._takes_steps = True
        self._events.write("steps", {"begin": True})
        try:
            yield
        finally:
            self._takes_steps = False
            self._events.write("steps", {"begin": False})
        if self._asked_to_stop:
            raise StoppedError

    def ask_to_stop(self) -> bool:
        """Record a request to stop; return whether the task must stop immediately.

        Called by a signal handler.
        """
        self._asked_to_stop = self._takes_steps
        return not self._takes_steps

    def set_failure_hint(self, text: str, if_there: Path) -> None:
        """Set a text to append to the error message if the job fails, such as how to continue.

        It is appended even if the process is killed.

        Parameters
        ----------
        text : str
            Text after "; ".
        if_there : Path
            The text is appended only if this file exists.
        """
        write_failure_hint(self._job_folder, text, if_there)

    def _end_if_asked(self) -> None:
        if self._asked_to_stop:
            # Raised once only: the cleanup may report progress, too.
            self._asked_to_stop = False
            raise StoppedError

    @contextlib.contextmanager
    def publishing(
        self,
        result: Mapping[str, Any],
        outputs: Path | Sequence[Path] = (),
        *,
        commit_marker: Path | None = None,
    ) -> Iterator[None]:
        """Publish the task's files in the body, together with the result; at most once.

        The result is made durable first; then the body moves the finished files to their final
        places. Requests to stop are ignored from here on. If the body raises, the outputs and the
        result are removed. The task should end after it, since this `result` is the job's, whatever
        the task returns.

        Parameters
        ----------
        result : mapping
            JSON values; what the job's `result` will be.
        outputs : Path or sequence of Path
            Files or folders that exist once the body is done, and not before (so their names are
            this job's alone). After a crash, the job has succeeded if all of them exist; otherwise
            those that do are removed, and the job may be run again.
        commit_marker : Path, optional
            For a body that replaces a folder: a file named after the job in the new folder. It
            exists from the moment of the replacement, so the job has succeeded even if the outputs
            do not exist yet. Once they do, it may be removed.

        Raises
        ------
        ConflictError
            If an output or the commit marker exists already.
        """
        if self._published is not None or self._publishing:
            raise ConflictError("this job has published its result already")
        paths = [outputs] if isinstance(outputs, os.PathLike) else list(outputs)
        for path in [*paths, *([] if commit_marker is None else [commit_marker])]:
            if os.path.lexists(path):
                raise ConflictError(f"{path} exists already")
        self._publishing = True
        try:
            prepare(self._job_folder, result, paths, commit_marker)
            yield
            for path in paths:
                fsync_directory(path.parent)
            self._published = dict(result)
        except BaseException:
            abort(self._job_folder)
            self._publishing = False
            raise
