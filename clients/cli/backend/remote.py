"""A running trainer and exporter, over gRPC."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cli.backend.catalogue import RemoteCatalogue
from cli.backend.connection import Connection
from cli.backend.downloading import download
from cli.backend.evaluation import evaluate_remotely
from cli.backend.exports import check_each
from cli.backend.folders import check_owner, folder_name
from cli.backend.imports import import_remotely
from cli.backend.job_group import JobGroup, JobRequest
from cli.backend.planning import check_all, training_message
from cli.backend.prediction import predict_remotely
from cli.backend.protocol import (
    CheckpointChoice,
    ExportOutcome,
    ImportSource,
    JobFilter,
    PredictOptions,
    Watcher,
)
from cli.backend.services import Services
from exporter.messages import spec_to_proto
from ktt_core.errors import (
    FailedPreconditionError,
    KttError,
    UnavailableError,
)
from trainer import run_result

if TYPE_CHECKING:
    from exporter import ExportSpec
    from ktt_core.datasets.options import ImportOptions
    from ktt_core.datasets.report import ImportReport
    from ktt_core.decoding import Prediction
    from ktt_jobs import Job, JobEvent
    from trainer import (
        EvaluateRequest,
        EvaluationResult,
        RunResult,
        TrainRequest,
    )

__all__ = ["RemoteBackend"]

#: Default folders of fetched exports, as in a workspace.
_OUTPUTS = {"onnx": Path("outputs"), "bento": Path("build")}
# Paths in the results are relative to the server's workspace.
_THERE = Path()


class RemoteBackend:
    """Delegates work to running services.

    Parameters
    ----------
    connection : Connection
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._services = Services(connection)

    @property
    def place(self) -> str:
        """The trainer's address."""
        return self._connection.trainer

    def close(self) -> None:
        """Close the connections."""
        self._services.close()

    @cached_property
    def catalogue(self) -> RemoteCatalogue:
        """The trainer's catalogue."""
        return RemoteCatalogue(self._services.trainer, self._connection)

    # -- work --------------------------------------------------------------------------------------

    def import_dataset(
        self,
        source: ImportSource,
        name: str,
        options: ImportOptions,
        watcher: Watcher,
        *,
        replace: bool = False,
    ) -> ImportReport:
        """Import a file, which is uploaded to the trainer if it is local."""
        return import_remotely(
            self._services.trainer,
            self._connection,
            self.catalogue,
            source,
            name,
            options,
            watcher,
            replace=replace,
        )

    def train(self, request: TrainRequest, watcher: Watcher) -> list[RunResult]:
        """Submit all runs and watch them."""
        return [run_result(job, _THERE) for job in self._training(request, watcher).run(watcher)]

    def submit(self, request: TrainRequest) -> list[Job]:
        """Submit all runs."""
        return self._training(request).submit()

    def _training(self, request: TrainRequest, watcher: Watcher | None = None) -> JobGroup:
        calls = self._services.jobs("training")
        jobs = [
            JobRequest(training_message(spec), spec.model, spec.dataset)
            for spec in request.expand(self._model_ids, self._keys_of)
        ]
        left_out = check_all(calls, jobs)
        for why in left_out.values():
            if watcher is not None:
                watcher.notice(why)
        return JobGroup(calls, [job for at, job in enumerate(jobs) if at not in left_out])

    def _model_ids(self) -> list[str]:
        return [model.id for model in self.catalogue.list_models()]

    def _keys_of(self, model: str) -> set[str]:
        return {str(row["name"]) for row in self.catalogue.get_model(model).hyperparameters}

    def evaluate(self, request: EvaluateRequest, watcher: Watcher) -> list[EvaluationResult]:
        """Submit an evaluation of each model, watch them, and fetch the wrong answers."""
        return evaluate_remotely(self._services, self._connection, request, watcher)

    def predict(
        self,
        dataset: str,
        model: str,
        texts: Iterable[str],
        options: PredictOptions,
        checkpoint: CheckpointChoice,
    ) -> Iterator[list[Prediction]]:
        """Classify texts, some hundred per call."""
        return predict_remotely(
            self._services.exporter, self._connection, dataset, model, texts, options, checkpoint
        )

    def export(
        self,
        specs: Sequence[ExportSpec],
        output: Path | None,
        watcher: Watcher,
        *,
        leave_out: bool = False,
    ) -> list[ExportOutcome]:
        """Submit all exports, watch them, and fetch the folders."""
        calls = self._services.jobs("export")
        left_out = check_each(
            specs, lambda spec: calls.check(spec_to_proto(spec)), leave_out, watcher
        )
        specs = [spec for spec in specs if spec not in left_out]
        requests = [JobRequest(spec_to_proto(spec), spec.model, spec.dataset) for spec in specs]
        for spec in specs:
            target = (output or _OUTPUTS[spec.format]) / folder_name(spec.model, spec.dataset)
            check_owner(target, spec.model, spec.dataset, spec.format)
        jobs = JobGroup(calls, requests).run(watcher)
        return [
            self._fetched(job, spec.format, output, watcher)
            for job, spec in zip(jobs, specs, strict=True)
        ]

    def fetch(self, job_id: str, output: Path | None, watcher: Watcher) -> ExportOutcome:
        """Fetch the folder of an export job."""
        job = self._services.find(job_id)[1]
        if job.kind != "export" or not job.state.ended:
            raise FailedPreconditionError(
                f"job {job_id} has nothing to fetch: it is {job.kind}, {job.state.value.lower()}; "
                "only exports that have succeeded have"
            )
        outcome = self._fetched(job, str(job.spec["format"]), output, watcher)
        if outcome.error is not None:
            raise outcome.error
        return outcome

    def _fetched(self, job: Job, form: str, output: Path | None, watcher: Watcher) -> ExportOutcome:
        model, dataset = job.labels["model"], job.labels["dataset"]
        error = job.exception()
        if error is None:
            try:
                folder, manifest = download(
                    self._services.exporter,
                    self._connection,
                    job.id,
                    model,
                    dataset,
                    form,
                    output or _OUTPUTS[form],
                    watcher,
                )
                return ExportOutcome(dataset, model, form, folder, manifest)
            except KttError as failure:
                error = failure
        return ExportOutcome(dataset, model, form, error=error)

    # -- jobs --------------------------------------------------------------------------------------

    def list_jobs(self, wanted: JobFilter, limit: int, watcher: Watcher) -> list[Job]:
        """Return jobs of both services; an exporter that was not named may be missing."""
        streams: list[Iterable[Job]] = []
        for calls in self._services.all_jobs():
            if not wanted.kinds or calls.kind in wanted.kinds:
                try:
                    streams.append(list(itertools.islice(calls.newest(wanted), limit)))
                except UnavailableError as error:
                    if calls.kind != "export" or self._connection.exporter_named or wanted.kinds:
                        raise
                    watcher.notice(
                        f"without export jobs, since no exporter answers: {error}; name it with "
                        "--exporter-address"
                    )
        merged = heapq.merge(*streams, key=lambda job: job.create_time, reverse=True)
        return list(itertools.islice(merged, limit))

    def get_job(self, job_id: str) -> Job:
        """Return one job."""
        return self._services.find(job_id)[1]

    def watch_job(self, job_id: str, after: int, watcher: Watcher) -> Iterator[JobEvent]:
        """Yield the events of a job, with reconnects."""
        return self._services.find(job_id)[0].watch(job_id, after, watcher)

    def cancel_job(self, job_id: str) -> Job:
        """Cancel a job."""
        return self._services.find(job_id)[0].cancel(job_id)
