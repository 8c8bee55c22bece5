"""The services in this process, on a workspace folder."""

from __future__ import annotations

import heapq
import itertools
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cli.backend.exports import check_each
from cli.backend.folders import check_owner, folder_name, read_manifest
from cli.backend.protocol import (
    Catalogue,
    CheckpointChoice,
    ExportOutcome,
    ImportSource,
    JobFilter,
    PredictOptions,
    Watcher,
)
from exporter import EXPORT, Exporter, ExportSpec
from ktt_core.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    KttError,
    NotFoundError,
)
from trainer import RunEvent, Trainer

if TYPE_CHECKING:
    from ktt_core.datasets.options import ImportOptions
    from ktt_core.datasets.report import ImportReport
    from ktt_core.decoding import Prediction
    from ktt_jobs import Job, JobEvent, JobService
    from trainer import (
        EvaluateRequest,
        EvaluationResult,
        RunResult,
        TrainRequest,
    )

__all__ = ["EmbeddedBackend"]

_PAGE = 200
_NO_SERVER = (
    "--server-path and --upload need a server: name it with --address, or name the file " "itself"
)


class EmbeddedBackend:
    """Runs all work in this process.

    Parameters
    ----------
    workspace : Path
        Created when something is first written.
    """

    def __init__(self, workspace: Path) -> None:
        self.root = Path(workspace)
        self._trainer = Trainer(self.root)
        self._exporter = Exporter(self.root)

    @property
    def place(self) -> str:
        """The workspace's folder."""
        return str(self.root)

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of the workspace."""
        return self._trainer

    def close(self) -> None:
        """Do nothing: there are no connections."""

    def import_dataset(
        self,
        source: ImportSource,
        name: str,
        options: ImportOptions,
        watcher: Watcher,
        *,
        replace: bool = False,
    ) -> ImportReport:
        """Import a file of this machine."""
        if source.file is None or source.upload is not None:
            raise InvalidArgumentError(_NO_SERVER)
        return self._trainer.import_dataset(
            source.file, name, options, replace=replace, progress=watcher.progress
        )

    # -- work --------------------------------------------------------------------------------------

    def train(self, request: TrainRequest, watcher: Watcher) -> list[RunResult]:
        """Train one run after the other, each in a separate process."""

        def on_event(event: RunEvent) -> None:
            run = event.run
            if event.kind == "started":
                watcher.begins(run.model, run.dataset, run.index, run.total)
            elif event.kind == "notice":
                watcher.notice(event.message)
            elif event.progress is not None:
                watcher.progress(event.progress)

        return self._trainer.train(_at_home(request), on_event)

    def submit(self, request: TrainRequest) -> list[Job]:
        """Refuse: work in this process ends with it."""
        raise InvalidArgumentError(
            "--detach needs a running trainer, which continues when this command has ended: start "
            "one with `ktt serve` and name it with --address"
        )

    def evaluate(self, request: EvaluateRequest, watcher: Watcher) -> list[EvaluationResult]:
        """Test each model's checkpoint on the rows of a request."""
        if request.rows.server_path or request.rows.upload:
            raise InvalidArgumentError(_NO_SERVER)
        return self._trainer.evaluate_on(request, watcher.progress)

    def predict(
        self,
        dataset: str,
        model: str,
        texts: Iterable[str],
        options: PredictOptions,
        checkpoint: CheckpointChoice,
    ) -> Iterator[list[Prediction]]:
        """Classify texts; one list per text."""
        return self._exporter.predict(
            dataset,
            model,
            texts,
            top_k=options.top_k,
            min_confidence=options.min_confidence,
            decoding=options.decoding,
            label=checkpoint.label,
            time=checkpoint.time,
            block_rows=options.block_rows,
        )

    def export(
        self,
        specs: Sequence[ExportSpec],
        output: Path | None,
        watcher: Watcher,
        *,
        leave_out: bool = False,
    ) -> list[ExportOutcome]:
        """Export one checkpoint after the other."""
        left_out = check_each(specs, partial(self._exporter.validate, EXPORT), leave_out, watcher)
        specs = [spec for spec in specs if spec not in left_out]
        for spec in specs:
            if output is not None:
                target = output / folder_name(spec.model, spec.dataset)
                check_owner(target, spec.model, spec.dataset, spec.format)

        def on_event(event: JobEvent) -> None:
            if event.progress is not None:
                watcher.progress(event.progress)

        outcomes = []
        for index, spec in enumerate(specs):
            watcher.begins(spec.model, spec.dataset, index, len(specs))
            try:
                result = self._exporter.run_export(spec, on_event)
                folder = self._deliver(self.root / result.path, output, spec)
                outcome = ExportOutcome(
                    spec.dataset, spec.model, spec.format, folder, read_manifest(folder)
                )
            except KttError as error:
                outcome = ExportOutcome(spec.dataset, spec.model, spec.format, error=error)
            outcomes.append(outcome)
        return outcomes

    def _deliver(self, folder: Path, output: Path | None, spec: ExportSpec) -> Path:
        if output is None:
            return folder
        from ktt_core.atomic import atomic_directory

        target = output / folder.name
        if target.resolve() == folder.resolve():
            return folder
        check_owner(target, spec.model, spec.dataset, spec.format)
        try:
            with atomic_directory(target, replace=True) as staging:
                shutil.copytree(folder, staging, dirs_exist_ok=True)
        except OSError as error:
            raise KttError(f"{target} cannot be written: {error.strerror or error}") from error
        return target

    # -- jobs --------------------------------------------------------------------------------------

    def list_jobs(self, wanted: JobFilter, limit: int, watcher: Watcher) -> list[Job]:
        """Return jobs of both services, the newest first."""
        streams = [_newest(service, wanted) for service in self._services()]
        merged = heapq.merge(*streams, key=lambda job: job.create_time, reverse=True)
        return list(itertools.islice(merged, limit))

    def get_job(self, job_id: str) -> Job:
        """Return one job."""
        return self._find(job_id)[1]

    def watch_job(self, job_id: str, after: int, watcher: Watcher) -> Iterator[JobEvent]:
        """Yield the events of a job of any process."""
        return self._find(job_id)[0].watch(job_id, after)

    def cancel_job(self, job_id: str) -> Job:
        """Cancel a job."""
        return self._find(job_id)[0].cancel(job_id)

    def fetch(self, job_id: str, output: Path | None, watcher: Watcher) -> ExportOutcome:
        """Copy the result of an export job, or return its location."""
        job = self.get_job(job_id)
        if job.kind != "export" or job.result is None:
            raise FailedPreconditionError(
                f"job {job_id} has nothing to fetch: it is {job.kind}, {job.state.value.lower()}; "
                "only exports that have succeeded have"
            )
        spec = ExportSpec.from_json(job.spec)
        folder = self._deliver(self.root / str(job.result["path"]), output, spec)
        return ExportOutcome(spec.dataset, spec.model, spec.format, folder, read_manifest(folder))

    def _services(self) -> tuple[JobService, JobService]:
        return self._trainer.jobs, self._exporter.jobs

    def _find(self, job_id: str) -> tuple[JobService, Job]:
        for service in self._services():
            try:
                return service, service.get(job_id)
            except NotFoundError:
                continue
        raise NotFoundError(
            f"there is no job {job_id!r} in {self.root}; `ktt jobs list` shows those there are"
        )


def _at_home(request: TrainRequest) -> TrainRequest:
    """Return a request with an absolute path of its encoder, for continuing it elsewhere."""
    encoder = request.where_known.get("encoder")
    if not isinstance(encoder, str) or not Path(encoder).expanduser().is_dir():
        return request
    folder = str(Path(encoder).expanduser().resolve())
    return replace(request, where_known={**request.where_known, "encoder": folder})


def _newest(service: JobService, wanted: JobFilter) -> Iterator[Job]:
    """Yield a service's jobs that a filter allows, the newest first, a page at a time."""
    kinds = [kind for kind in service.tasks if not wanted.kinds or kind in wanted.kinds]
    labels = {"dataset": wanted.dataset, "model": wanted.model}
    if not kinds:
        return
    after: str | None = None
    while True:
        jobs, after = service.list(
            kinds=kinds,
            states=wanted.states,
            labels={label: name for label, name in labels.items() if name},
            limit=_PAGE,
            after=after,
        )
        yield from jobs
        if after is None:
            return
