"""Imports on a server: each in its own process, which ends when the client is gone."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.report import ImportReport
from ktt_core.errors import ConflictError, ResourceExhaustedError, UnavailableError
from ktt_core.progress import ProgressCallback
from ktt_core.workspace import Workspace
from trainer.embedded import temporary_jobs
from trainer.os_errors import typed_os_errors
from trainer.upload_info import UsedUpload

if TYPE_CHECKING:
    from ktt_jobs import JobEvent, JobService

__all__ = ["ImportRun", "Imports"]

_KIND = "import"
_TASKS = {_KIND: "trainer.tasks:import_dataset"}

Source = AbstractContextManager[UsedUpload]


@dataclass(frozen=True)
class Import:
    """What is to be imported."""

    name: str
    folder: Path
    options: ImportOptions
    replace: bool


class Imports:
    """The imports of a server.

    Parameters
    ----------
    workspace : Workspace
    limit : int
        How many may run at once.
    """

    def __init__(self, workspace: Workspace, limit: int = 2) -> None:
        self.workspace = workspace
        self._folder = workspace.root / "jobs" / "imports"
        self._limit = limit
        self._running: set[ImportRun] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def prepare(
        self, name: str, source: Source, options: ImportOptions, *, replace: bool = False
    ) -> ImportRun:
        """Return an import that has not begun.

        Raises
        ------
        InvalidArgumentError
            If the name cannot be a dataset's.
        ConflictError
            If there is a dataset of that name, and it is not to be replaced.
        """
        folder = self.workspace.dataset_folder(name)
        if folder.exists() and not replace:
            raise ConflictError(
                f"there is a dataset {name!r} already: choose another name, or set replace"
            )
        return ImportRun(self, Import(name, folder, options, replace), source)

    @contextlib.contextmanager
    def place_for(self, run: ImportRun) -> Iterator[None]:
        """Hold one of the places for running imports.

        Raises
        ------
        ResourceExhaustedError
            If all are taken.
        UnavailableError
            If the server is stopping.
        """
        with self._lock:
            if self._stopped:
                raise UnavailableError("the server is stopping; import again when it is back")
            if len(self._running) >= self._limit:
                raise ResourceExhaustedError(
                    f"{self._limit} imports are running already; try again when one has ended"
                )
            self._running.add(run)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(run)

    @contextlib.contextmanager
    def jobs(self) -> Iterator[JobService]:
        """Yield what runs one import in a process of its own."""
        with contextlib.ExitStack() as stack:
            with typed_os_errors("the import cannot begin"):
                self._folder.mkdir(parents=True, exist_ok=True)
                jobs = stack.enter_context(temporary_jobs(_TASKS, self._folder))
            yield jobs

    def clean_up(self) -> None:
        """Remove what the imports of a server that was killed have left; before the first one."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self.workspace.sweep()

    def stop(self) -> None:
        """End the running imports, and begin none any more."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for run in running:
            run.cancel()


class ImportRun:
    """One import."""

    def __init__(self, imports: Imports, wanted: Import, source: Source) -> None:
        self._imports = imports
        self._wanted = wanted
        self._source = source
        self._cancelled = threading.Event()
        # Whoever cancels looks into the import's folder, which must not go away meanwhile.
        self._lock = threading.Lock()
        self._jobs: JobService | None = None

    def run(self, progress: ProgressCallback) -> ImportReport:
        """Import, and wait for the end; the dataset is there, whole, when this returns.

        Raises
        ------
        UnavailableError
            If it was cancelled; nothing is there then.
        KttError
            As `ktt_core.datasets.importer.import_dataset`, or the source's.
        """

        def follow(event: JobEvent) -> None:
            if self._cancelled.is_set():
                raise _CancelledError
            if event.progress is not None:
                progress(event.progress)

        wanted = self._wanted
        with self._imports.place_for(self), self._source as source:
            spec = {
                "source": str(source.path),
                "folder": str(wanted.folder.absolute()),
                "options": wanted.options.to_json(),
                "replace": wanted.replace,
            }
            try:
                with self._imports.jobs() as jobs, self._cancellable(jobs):
                    job = jobs.run(_KIND, spec, labels={}, on_event=follow)
            except _CancelledError:
                raise self._gone() from None
            finally:
                # What a killed process has left.
                self._imports.workspace.sweep()
            error = job.exception()
            if self._cancelled.is_set() and error is not None:
                raise self._gone()
            if error is not None:
                raise error
            source.discard()
            return ImportReport.from_json(job.result or {})

    def cancel(self) -> None:
        """Have it end soon, from any thread."""
        self._cancelled.set()
        with self._lock:
            if self._jobs is not None:
                for job in self._jobs.list(kinds=[_KIND])[0]:
                    self._jobs.cancel(job.id)

    @contextlib.contextmanager
    def _cancellable(self, jobs: JobService) -> Iterator[None]:
        with self._lock:
            self._jobs = jobs
        try:
            yield
        finally:
            with self._lock:
                self._jobs = None

    def _gone(self) -> UnavailableError:
        return UnavailableError(f"the import of {self._wanted.name!r} was ended before it was done")


class _CancelledError(Exception):
    """Nobody waits for the import any more."""
