"""Imports on a server: each in its own process, which ends when the client disconnects."""

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
    """Arguments of an import."""

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
        Maximum number of concurrent imports.
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
        """Return an import that has not started.

        Raises
        ------
        InvalidArgumentError
            If the name is not valid for a dataset.
        ConflictError
            If the dataset exists and `replace` is not set.
        """
        folder = self.workspace.dataset_folder(name)
        if folder.exists() and not replace:
            raise ConflictError(
                f"there is a dataset {name!r} already: choose another name, or set replace"
            )
        return ImportRun(self, Import(name, folder, options, replace), source)

    @contextlib.contextmanager
    def place_for(self, run: ImportRun) -> Iterator[None]:
        """Count the body as a running import.

        Raises
        ------
        ResourceExhaustedError
            If as many imports run already.
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
        """Yield the job service that runs one import in its own process."""
        with contextlib.ExitStack() as stack:
            with typed_os_errors("the import cannot begin"):
                self._folder.mkdir(parents=True, exist_ok=True)
                jobs = stack.enter_context(temporary_jobs(_TASKS, self._folder))
            yield jobs

    def clean_up(self) -> None:
        """Remove leftovers of a killed server's imports; called before the first import."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self.workspace.sweep()

    def stop(self) -> None:
        """Stop the running imports, and refuse new ones."""
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
        # A cancel reads the import's folder, which must not be removed meanwhile.
        self._lock = threading.Lock()
        self._jobs: JobService | None = None

    def run(self, progress: ProgressCallback) -> ImportReport:
        """Import, and wait for the end; the dataset is complete when this returns.

        Raises
        ------
        UnavailableError
            If it was cancelled; no dataset is created then.
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
                # Leftovers of a killed process.
                self._imports.workspace.sweep()
            error = job.exception()
            if self._cancelled.is_set() and error is not None:
                raise self._gone()
            if error is not None:
                raise error
            source.discard()
            return ImportReport.from_json(job.result or {})

    def cancel(self) -> None:
        """Cancel the import; thread-safe."""
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
        return UnavailableError(
            f"the import of {self._wanted.name!r} was cancelled before it was complete"
        )


class _CancelledError(Exception):
    """The import was cancelled."""
