"""Evaluation by a running trainer, with upload of rows and download of wrong answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cli.backend.connection import Connection
from cli.backend.job_group import JobGroup, JobRequest
from cli.backend.planning import check_all
from cli.backend.protocol import DetachedError, Watcher
from cli.backend.receiving import receive
from cli.backend.services import Services
from cli.backend.uploading import Uploader
from ktt.trainer.v1 import evaluation_pb2
from ktt_core.errors import KttError, UnavailableError
from trainer import evaluation_result
from trainer.messages.evaluation import evaluation_spec_to_proto

if TYPE_CHECKING:
    from trainer import EvaluateRequest, EvaluationResult

__all__ = ["evaluate_remotely"]

# Paths in the results are relative to the server's workspace.
_THERE = Path()


def evaluate_remotely(
    services: Services, connection: Connection, request: EvaluateRequest, watcher: Watcher
) -> list[EvaluationResult]:
    """Evaluate, and wait for it; see `cli.backend.protocol.Backend.evaluate`.

    All is checked before the file is sent. The file is always deleted at the end, unless running
    jobs need it: then the trainer lets it expire.
    """
    calls = services.jobs("evaluation")
    source = request.rows
    check_all(calls, _requests(request, source.server_path, ""))
    if source.file is None:
        group = JobGroup(calls, _requests(request, source.server_path, ""))
        return _results(services, connection, group, request, watcher)
    uploader = Uploader(services.trainer, connection, watcher)
    upload_id = uploader.send(source.file, source.upload or None)
    try:
        requests = _requests(request, "", upload_id)
        check_all(calls, requests)
        results = _results(services, connection, JobGroup(calls, requests), request, watcher)
    except (DetachedError, UnavailableError):
        raise
    except (KttError, KeyboardInterrupt):
        uploader.discard(upload_id)
        raise
    uploader.discard(upload_id)
    return results


def _requests(request: EvaluateRequest, server_path: str, upload_id: str) -> list[JobRequest]:
    specs = request.specs(on_file=server_path, upload_id=upload_id)
    return [JobRequest(evaluation_spec_to_proto(spec), spec.model, spec.dataset) for spec in specs]


def _results(
    services: Services,
    connection: Connection,
    group: JobGroup,
    request: EvaluateRequest,
    watcher: Watcher,
) -> list[EvaluationResult]:
    results = []
    for number, job in enumerate(group.run(watcher)):
        result = evaluation_result(job, _THERE)
        if request.errors_folder is not None:
            errors = request.errors_folder / f"{number}.parquet"
            _fetch(services, connection, job.id, errors, watcher)
            result = replace(result, errors=errors)
        results.append(result)
    return results


def _fetch(
    services: Services, connection: Connection, job_id: str, path: Path, watcher: Watcher
) -> None:
    """Download the wrong answers of a job."""

    def open_stream(offset: int) -> object:
        return services.trainer.DownloadEvaluationErrors(
            evaluation_pb2.DownloadEvaluationErrorsRequest(evaluation_job_id=job_id, offset=offset)
        )

    try:
        with path.open("w+b") as file:
            receive(
                open_stream,
                file,
                connection,
                connection.trainer,
                watcher,
                after=f"the evaluation itself is done: `ktt jobs show {job_id}` has its figures",
            )
    except OSError as error:
        raise KttError(f"{path} cannot be written: {error.strerror or error}") from error
