"""The exporter's handlers: plain values in and out, `KttError` for errors a user can fix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.checkpoints import locate
from exporter.job_kind import EXPORT, open_jobs
from exporter.model_cache import ModelCache
from exporter.prediction import Decoding, check_options, iter_answers
from exporter.requests import ExportSpec
from exporter.results import ExportResult
from ktt_core.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from ktt_jobs.kinds import JobHost

if TYPE_CHECKING:
    from exporter.artifacts import Artifact, ArtifactStore
    from ktt_core.decoding import Prediction
    from ktt_jobs import Job, JobEvent, JobService

__all__ = ["DEFAULT_MODEL_CACHE", "Exporter"]

#: Number of models that are kept loaded.
DEFAULT_MODEL_CACHE = 4


def _ignore(event: JobEvent) -> None:
    """Drop the event: the default without a watcher."""


class Exporter(JobHost):
    """Exports checkpoints of one workspace, and predicts with them.

    The constructor imports nothing heavy and creates no folder. Thread-safe.

    Parameters
    ----------
    workspace : Path
        The folder with ``datasets/`` and ``weights/``.
    jobs : JobService, optional
        The jobs of a server; default: those of the workspace, as a command uses them.
    model_cache : int
        Number of models that `predict` keeps loaded: the most recently used.
    """

    def __init__(
        self,
        workspace: Path,
        jobs: JobService | None = None,
        *,
        model_cache: int = DEFAULT_MODEL_CACHE,
    ) -> None:
        self.root = Path(workspace)
        self._given_jobs = jobs
        self._models = ModelCache(model_cache)

    @cached_property
    def jobs(self) -> JobService:
        """The store of the export jobs."""
        return open_jobs(self.root) if self._given_jobs is None else self._given_jobs

    @cached_property
    def _artifacts(self) -> ArtifactStore:
        from exporter.artifacts import ArtifactStore

        return ArtifactStore()

    def start(self) -> None:
        """Start serving: remove leftovers of killed exports, now and whenever a job ends."""
        from exporter.commit_markers import sweep_markers
        from exporter.folders import sweep_exports

        def sweep(job: Job | None = None) -> None:
            if job is None or job.result is None:
                sweep_exports(self.root)
            sweep_markers(self.root, self.jobs)

        sweep()
        self.jobs.on_end.append(sweep)

    # -- exports -----------------------------------------------------------------------------------

    def export(
        self, spec: ExportSpec, on_event: Callable[[JobEvent], None] = _ignore
    ) -> ExportResult:
        """Check an export, make it now in a worker process, and wait for it; no server is needed.

        Parameters
        ----------
        spec : ExportSpec
        on_event : callable
            Called with every `JobEvent`.

        Raises
        ------
        KttError
            As `exporter.checking.check_export`, before a job is created, and as `run_export`.
        """
        self.validate(EXPORT, spec)
        return self.run_export(spec, on_event)

    def run_export(
        self, spec: ExportSpec, on_event: Callable[[JobEvent], None] = _ignore
    ) -> ExportResult:
        """Make an export that `validate` has accepted, as `export` does.

        If this process is interrupted, or `on_event` raises, the export is stopped and the
        exception propagates. An export that fails publishes nothing.

        Parameters
        ----------
        spec : ExportSpec
        on_event : callable
            Called with every `JobEvent`.

        Raises
        ------
        JobFailedError
            If the export's results differ from its checkpoint's, or its process died.
        KttError
            If the job fails for another reason.
        """
        from exporter.commit_markers import sweep_markers

        try:
            job = self.jobs.run(EXPORT.name, spec.to_json(), labels=spec.labels, on_event=on_event)
        finally:
            sweep_markers(self.root, self.jobs)
        error = job.exception()
        if error is not None:
            raise error
        return ExportResult.from_json(job.result or {})

    def open_artifact(self, job_id: str) -> Artifact:
        """Open the result of an export job as an archive.

        Raises
        ------
        NotFoundError
            If there is no such job.
        FailedPreconditionError
            If it has not succeeded, or its result was replaced, changed or removed since.
        """
        job = self.jobs.get(job_id, EXPORT.name)
        if job.result is None:
            raise FailedPreconditionError(
                f"the job {job_id} has no artifact: it is {job.state.name}"
                + ("" if job.state.ended else "; wait until it has succeeded")
            )
        result = ExportResult.from_json(job.result)
        return self._artifacts.open(self.root / result.path, result.manifest)

    # -- answers -----------------------------------------------------------------------------------

    def predict(
        self,
        dataset: str,
        model: str,
        texts: Iterable[str],
        *,
        top_k: int = 1,
        min_confidence: float = 0.0,
        decoding: Decoding = "path",
        label: str = "best",
        time: str | None = None,
        block_rows: int = 1024,
    ) -> Iterator[list[Prediction]]:
        """Classify texts with a checkpoint.

        Arguments are checked and the checkpoint is loaded immediately. The texts are then read
        lazily, a block at a time, so their number is not limited.

        Parameters
        ----------
        dataset, model : str
            Model and the dataset it was trained on. The dataset itself is not needed.
        texts : iterable of str
        top_k : int
            Paths per text.
        min_confidence : float
            In [0, 1]: a path stops at the deepest class that reaches it.
        decoding : {"path", "independent"}
            Whether to return the most probable path or the best class of each level.
        label, time : str
            Checkpoint: "best" or "last", of the newest run or of the run with that start.
        block_rows : int
            Texts classified at once; with 1, each is answered before the next is read.

        Returns
        -------
        iterator of list of Prediction
            One list per text, in order, the most probable path first.

        Raises
        ------
        InvalidArgumentError
            If an argument is out of range, or (when its block is read) a text cannot be
            classified, see `ktt_core.texts.check_text`; `field` names it.
        NotFoundError
            If there is no such model or checkpoint.
        CheckpointError
            If the checkpoint is damaged.
        """
        if isinstance(texts, str):
            raise InvalidArgumentError(
                "texts is an iterable of texts, not one text: wrap it in a list", field="texts"
            )
        if block_rows < 1:
            raise InvalidArgumentError(
                f"a block needs at least one row, not {block_rows}", field="block_rows"
            )
        options = {"top_k": top_k, "min_confidence": min_confidence, "decoding": decoding}
        model_class, file = locate(self.root, dataset, model, label, time)
        try:
            cached = self._models.get(file.path, model_class.from_checkpoint)
        except FileNotFoundError:
            raise NotFoundError(f"the checkpoint {file.path} has just been removed") from None
        with cached.use() as loaded:
            check_options(loaded, options)
        return iter_answers(cached, iter(texts), options, block_rows)
