"""The trainer of a server: queued jobs, uploads, paths on the server."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.sources import SUFFIXES
from ktt_core.errors import (
    FailedPreconditionError,
    KttError,
    NotFoundError,
)
from ktt_jobs import JobService, JobState
from ktt_jobs.kinds import JobHost, JobKind, JobSpec
from trainer.catalogue import describe_or_damaged
from trainer.cleanup import clean_up
from trainer.encoder_access import EncoderAccess
from trainer.error_table import FILE_NAME
from trainer.handlers import Trainer
from trainer.importing import ImportRun, Imports
from trainer.pages import Page, page_of
from trainer.results import CheckpointInfo, DatasetInfo, EncoderInfo, ModelInfo
from trainer.server_paths import AllowedRoots
from trainer.specs import EVALUATION, TRAINING, EvaluationSpec
from trainer.upload_info import UsedUpload
from trainer.uploads import UploadStore

if TYPE_CHECKING:
    from ktt_jobs import Job

__all__ = ["TrainerServer"]

_log = logging.getLogger(__name__)

# Seconds between checks for expired uploads.
_SWEEP_INTERVAL = 300.0
_COMPLEMENT = str.maketrans("0123456789", "9876543210")


class TrainerServer(Trainer, JobHost):
    """A trainer for remote clients.

    Parameters
    ----------
    workspace : Path
    jobs : JobService
        The server starts and stops it.
    allowed_roots : iterable of Path
        Folders with files that clients may name.
    upload_limit_bytes : int
        Maximum size of an uploaded file.
    upload_ttl : timedelta
        Time that an unused upload is kept.
    import_limit : int
        Maximum number of concurrent imports.
    allow_download : bool
        Whether clients may have encoders fetched from the hub.

    Attributes
    ----------
    uploads : UploadStore
    allowed : AllowedRoots
    encoders : EncoderAccess

    Raises
    ------
    InvalidArgumentError
        If the workspace is a file, or an allowed root is not a folder.
    """

    def __init__(
        self,
        workspace: Path,
        jobs: JobService,
        *,
        allowed_roots: Iterable[Path] = (),
        upload_limit_bytes: int = 10 * 1024**3,
        upload_ttl: timedelta = timedelta(hours=24),
        import_limit: int = 2,
        allow_download: bool = False,
    ) -> None:
        super().__init__(workspace, jobs)
        self.uploads = UploadStore(
            self.root / "uploads", SUFFIXES, limit_bytes=upload_limit_bytes, ttl=upload_ttl
        )
        self.allowed = AllowedRoots(allowed_roots)
        self.encoders = EncoderAccess(self.allowed, allow_download)
        self._imports = Imports(self.workspace, import_limit)
        # No job that needs a dataset may be queued between the check for such jobs and the
        # deletion.
        self._deleting = threading.Lock()
        self._stopping = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="upload-sweep", daemon=True)

    def start(self) -> None:
        """Remove leftovers of a killed server, and start housekeeping of uploads."""
        self.jobs.on_end.append(self._clear_up_after)
        clean_up(self.workspace)
        self._imports.clean_up()
        self._sweeper.start()

    def stop(self) -> None:
        """Stop imports and housekeeping. Idempotent."""
        self._stopping.set()
        self._imports.stop()
        if self._sweeper.is_alive():
            self._sweeper.join()

    # -- datasets ----------------------------------------------------------------------------------

    def delete_dataset(self, name: str) -> None:
        """Delete a dataset, as `Trainer.delete_dataset` does; no job for it is queued meanwhile."""
        with self._deleting:
            super().delete_dataset(name)

    def page_datasets(self, limit: int, after: str | None) -> Page[DatasetInfo]:
        """Return a page of datasets by name; only its datasets are opened."""
        names, cursor = page_of(self.workspace.datasets(), str, limit, after)
        return [describe_or_damaged(self.workspace, name) for name in names], cursor

    def import_upload(
        self, upload_id: str, name: str, options: ImportOptions, *, replace: bool = False
    ) -> ImportRun:
        """Prepare the import of a complete upload, which is deleted once the dataset exists.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If there is no such upload, or the name cannot be a dataset's.
        FailedPreconditionError
            If the upload is not complete.
        ConflictError
            If there is a dataset of that name, and it is not to be replaced.
        """
        self.uploads.check_complete(upload_id)
        source = self.uploads.using(upload_id)
        return self._imports.prepare(name, source, options, replace=replace)

    def import_server_path(
        self, path: str, name: str, options: ImportOptions, *, replace: bool = False
    ) -> ImportRun:
        """Prepare the import of a file on this machine.

        Raises
        ------
        InvalidArgumentError
            If the path is not absolute, or the name cannot be a dataset's.
        PermissionDeniedError
            If the file is not under an allowed root.
        ConflictError
            If there is a dataset of that name, and it is not to be replaced.
        """
        file = UsedUpload(self.allowed.resolve(path), discard=lambda: None)
        source = contextlib.nullcontext(file)
        return self._imports.prepare(name, source, options, replace=replace)

    # -- models and checkpoints --------------------------------------------------------------------

    def page_models(self, framework: str, limit: int, after: str | None) -> Page[ModelInfo]:
        """Return models by id, of one framework if it is not empty."""
        models = sorted(self.list_models(framework or None), key=lambda model: model.id)
        return page_of(models, lambda model: model.id, limit, after)

    def page_encoders(self, limit: int, after: str | None) -> Page[EncoderInfo]:
        """Return the encoders found on this machine by name."""
        return page_of(self.list_encoders(), lambda encoder: encoder.name, limit, after)

    def page_checkpoints(
        self, model: str, dataset: str, limit: int, after: str | None
    ) -> Page[CheckpointInfo]:
        """Return checkpoints by model and dataset, the newest first; empty names stand for all."""
        found = self.list_checkpoints(model or None, dataset or None)
        return page_of(found, _checkpoint_key, limit, after)

    # -- jobs --------------------------------------------------------------------------------------

    def submit(self, kind: JobKind[Any], spec: Any, request_id: str = "") -> Job:
        """Queue a job, as `JobHost.submit` does."""
        if isinstance(spec, EvaluationSpec) and spec.on_file:
            # The resolved path: a link may be changed to another file while the job is queued.
            spec = replace(spec, on_file=str(self.allowed.resolve(spec.on_file)))
        return super().submit(kind, spec, request_id)

    @contextlib.contextmanager
    def submitting(self, spec: JobSpec) -> Iterator[None]:
        """Lock the dataset that a job reads against deletion until the job is in the queue."""
        needed = spec.labels["dataset"]
        if isinstance(spec, EvaluationSpec) and not spec.of_own_rows:
            needed = spec.on_dataset
        with self._deleting:
            if needed and not self.workspace.dataset_folder(needed).is_dir():
                raise NotFoundError(f"the dataset {needed!r} does not exist any more")
            yield

    def open_errors(self, job_id: str) -> BufferedReader:
        """Open the Parquet file of an evaluation job's wrong answers.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            If the id is not valid, or there is no such job.
        FailedPreconditionError
            If it has not succeeded, or they were not requested.
        """
        job = self.jobs.get(job_id, EVALUATION.name)
        if job.state is not JobState.SUCCEEDED:
            raise FailedPreconditionError(
                f"job {job_id} has listed nothing: it is {job.state.value.lower()}"
            )
        try:
            return (self.jobs.files(job_id) / FILE_NAME).open("rb")
        except FileNotFoundError:
            raise FailedPreconditionError(
                f"job {job_id} was not asked to list its wrong answers; evaluate again, with errors"
            ) from None

    # -- housekeeping ------------------------------------------------------------------------------

    def _clear_up_after(self, job: Job) -> None:
        if job.kind == TRAINING.name and job.state is not JobState.SUCCEEDED:
            try:
                clean_up(self.workspace)
            except KttError as error:
                _log.warning("leftovers of job %s cannot be removed: %s", job.id, error)

    def _sweep(self) -> None:
        while not self._stopping.wait(_SWEEP_INTERVAL):
            try:
                expired = self.uploads.sweep()
            except (KttError, OSError) as error:
                _log.warning("expired uploads cannot be removed: %s", error)
            else:
                if expired:
                    _log.info("uploads expired: %s", ", ".join(expired))


def _checkpoint_key(info: CheckpointInfo) -> str:
    """Return a key that sorts times in descending order."""
    falling = info.time.translate(_COMPLEMENT)
    return "\n".join((info.model, info.dataset, falling, info.label, info.path.name))
