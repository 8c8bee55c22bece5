"""The exporter over gRPC: what is asked for comes back, what cannot be says which field and why."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from exporter.conftest import MODELS, TIME, Served, refused
from ktt.exporter.v1 import exports_pb2 as pb
from ktt.jobs.v1 import jobs_pb2


def spec(model: str = "tfidf_hsgd", **fields: Any) -> pb.ExportSpec:
    values: dict[str, Any] = {"dataset": "shop", "model": model, "format": pb.EXPORT_FORMAT_ONNX}
    return pb.ExportSpec(**(values | fields))


def create(served: Served, wanted: pb.ExportSpec, **fields: Any) -> pb.ExportJob:
    request = pb.CreateExportJobRequest(spec=wanted, **fields)
    return served.calls.CreateExportJob(request).export_job


def export(served: Served, wanted: pb.ExportSpec) -> pb.ExportJob:
    """Export and wait for the end."""
    job_id = create(served, wanted).id
    for _ in served.calls.WatchExportJob(pb.WatchExportJobRequest(id=job_id), timeout=180):
        pass
    return served.calls.GetExportJob(pb.GetExportJobRequest(id=job_id)).export_job


def download(served: Served, job_id: str, offset: int = 0) -> tuple[pb.ArtifactStart, bytes]:
    request = pb.DownloadArtifactRequest(export_job_id=job_id, offset=offset)
    parts = list(served.calls.DownloadArtifact(request))
    assert [part.WhichOneof("part") for part in parts] == ["start", *["chunk"] * (len(parts) - 1)]
    assert all(len(part.chunk) <= 1024**2 for part in parts)
    return parts[0].start, b"".join(part.chunk for part in parts)


# -- exports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_is_exported_watched_and_downloaded(
    served: Served, workspace: Path, model: str
) -> None:
    job_id = create(served, spec(model)).id
    watching = pb.WatchExportJobRequest(id=job_id)
    events = [response.event for response in served.calls.WatchExportJob(watching, timeout=180)]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert events[-1].state == jobs_pb2.JOB_STATE_SUCCEEDED
    phases = [event.progress.phase for event in events if event.HasField("progress")]
    assert list(dict.fromkeys(phases)) == ["load", "export", "parity"]

    job = served.calls.GetExportJob(pb.GetExportJobRequest(id=job_id)).export_job
    folder = workspace / "outputs" / f"{model}_shop"
    manifest = job.result.manifest
    assert job.result.path == f"outputs/{model}_shop"
    assert (manifest.model, manifest.dataset, manifest.format) == (model, "shop", "onnx")
    checkpoint = workspace / "weights" / model / "shop" / f"best_{TIME}.safetensors"
    assert manifest.checkpoint.run_time == TIME
    assert manifest.checkpoint.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert manifest.opset > 0
    assert {"numpy", "onnx", "onnxruntime", "python"} <= manifest.versions.keys()
    assert manifest.parity.split == "test"
    assert manifest.parity.rows == 16
    assert manifest.parity.top_path_agreement == 1.0
    assert manifest.parity.max_probability_difference <= manifest.parity.tolerated_difference
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {file.path for file in manifest.files} == there - {"manifest.json"}
    assert {"model.onnx", "hierarchy.json"} <= there
    for file in manifest.files:
        content = (folder / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size_bytes, file.sha256)
    written = json.loads((folder / "manifest.json").read_text())
    assert written["parity"]["rows"] == "16"

    start, archive = download(served, job_id)
    assert start.file_name == f"{model}_shop.tar"
    assert (len(archive), hashlib.sha256(archive).hexdigest()) == (start.size_bytes, start.sha256)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert {member.name for member in tar} == {f"{model}_shop/{name}" for name in there}


def test_a_download_goes_on_from_any_offset(served: Served) -> None:
    job = export(served, spec())
    start, archive = download(served, job.id)
    for offset in (1, 512, len(archive) // 2, len(archive) - 1, len(archive)):
        again, rest = download(served, job.id, offset)
        assert (again, rest) == (start, archive[offset:])
    for offset in (-1, len(archive) + 1):
        code, fields, _ = refused(download, served, job.id, offset)
        assert (code, fields) == ("INVALID_ARGUMENT", ["offset"])


def test_a_client_that_vanishes_in_a_download_leaves_nothing_open(
    served: Served, workspace: Path
) -> None:
    job = export(served, spec())

    def open_files() -> int:
        gc.collect()
        opened = (os.path.realpath(path) for path in Path("/proc/self/fd").iterdir())
        return sum(path.startswith(str(workspace / "outputs")) for path in opened)

    for _ in range(3):
        request = pb.DownloadArtifactRequest(export_job_id=job.id)
        streaming = served.calls.DownloadArtifact(request)
        assert next(streaming).WhichOneof("part") == "start"
        streaming.cancel()
    end = time.monotonic() + 30
    while open_files():
        assert time.monotonic() < end
        time.sleep(0.05)
    download(served, job.id)


def test_an_artifact_that_was_replaced_is_not_sent(served: Served, workspace: Path) -> None:
    first, second = export(served, spec()), export(served, spec())
    code, _, message = refused(download, served, first.id)
    assert code == "FAILED_PRECONDITION"
    assert "holds another export by now" in message
    download(served, second.id)
    shutil.rmtree(workspace / "outputs/tfidf_hsgd_shop")
    assert refused(download, served, second.id)[0] == "FAILED_PRECONDITION"


def test_a_cancelled_job_has_no_artifact(served: Served, workspace: Path) -> None:
    jobs = [create(served, spec()) for _ in range(3)]
    last = jobs[-1].id
    cancelled = served.calls.CancelExportJob(pb.CancelExportJobRequest(id=last)).export_job
    assert cancelled.status.state == jobs_pb2.JOB_STATE_CANCELLED
    code, _, message = refused(download, served, last)
    assert code == "FAILED_PRECONDITION"
    assert "it is CANCELLED" in message


def test_one_request_id_is_one_job(served: Served) -> None:
    first = create(served, spec(), request_id="a-1")
    assert create(served, spec(), request_id="a-1").id == first.id
    assert create(served, spec()).id != first.id
    code, _, _ = refused(lambda: create(served, spec("tfidf_lsgd"), request_id="a-1"))
    assert code == "ALREADY_EXISTS"
    for bad in ("x" * 65, "a b", "a\n", "ä"):
        request = pb.CreateExportJobRequest(spec=spec(), request_id=bad)
        code, fields, _ = refused(served.calls.CreateExportJob, request)
        assert (code, fields) == ("INVALID_ARGUMENT", ["request_id"])


def test_a_full_queue_says_so(served: Served) -> None:
    def fill() -> None:
        for _ in range(10):
            create(served, spec())

    assert refused(fill)[0] == "RESOURCE_EXHAUSTED"


def test_checking_a_spec_makes_nothing(served: Served, workspace: Path) -> None:
    job = create(served, spec(), validate_only=True)
    assert (job.id, job.spec) == ("", spec())
    listed = served.calls.ListExportJobs(pb.ListExportJobsRequest())
    assert not listed.export_jobs
    assert not (workspace / "outputs").exists()
    code, fields, _ = refused(
        lambda: create(served, spec(run_time="yesterday"), validate_only=True)
    )
    assert (code, fields) == ("INVALID_ARGUMENT", ["spec.run_time"])


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"dataset": "../shop"}, "INVALID_ARGUMENT", "spec.dataset"),
        ({"dataset": ""}, "INVALID_ARGUMENT", "spec.dataset"),
        ({"dataset": "x" * 10_000}, "INVALID_ARGUMENT", "spec.dataset"),
        ({"model": "a/b"}, "INVALID_ARGUMENT", "spec.model"),
        ({"model": "\0"}, "INVALID_ARGUMENT", "spec.model"),
        ({"format": 0}, "INVALID_ARGUMENT", "spec.format"),
        ({"format": 99}, "INVALID_ARGUMENT", "spec.format"),
        ({"label": "worst"}, "INVALID_ARGUMENT", "spec.label"),
        ({"run_time": "x" * 10_000}, "INVALID_ARGUMENT", "spec.run_time"),
        ({"model": "nothing"}, "NOT_FOUND", ""),
        ({"dataset": "other"}, "NOT_FOUND", ""),
        ({"run_time": "2026-01-01T00:00:00"}, "NOT_FOUND", ""),
        ({"label": "last"}, "NOT_FOUND", ""),
        ({"gpu": True}, "INVALID_ARGUMENT", "spec.gpu"),
        ({"format": pb.EXPORT_FORMAT_BENTO, "gpu": True}, "UNIMPLEMENTED", ""),
    ],
)
def test_what_cannot_be_exported_says_why(
    resting: Served, fields: dict[str, Any], code: str, field: str
) -> None:
    found = refused(create, resting, spec(**fields))
    assert found[:2] == (code, [field] if field else [])
    assert len(found[2]) < 1000
    assert not (resting.exporter.root / "outputs").exists()


def test_a_folder_of_something_else_is_refused(served: Served, workspace: Path) -> None:
    folder = workspace / "outputs/tfidf_hsgd_shop"
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("irreplaceable")
    code, _, message = refused(create, served, spec())
    assert code == "FAILED_PRECONDITION"
    assert "has no manifest.json" in message
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]


def test_of_two_pairs_with_one_folder_name_the_first_has_it(
    served: Served, workspace: Path
) -> None:
    manifest = workspace / export(served, spec()).result.path / "manifest.json"
    value = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**value, "model": "tfidf", "dataset": "hsgd_shop"}))
    code, _, message = refused(create, served, spec())
    assert code == "FAILED_PRECONDITION"
    assert "export of 'tfidf' on 'hsgd_shop'" in message


def test_without_rows_there_is_no_export(served: Served, workspace: Path) -> None:
    shutil.rmtree(workspace / "datasets/shop")
    code, _, message = refused(create, served, spec())
    assert code == "FAILED_PRECONDITION"
    assert "import it again" in message


def test_a_damaged_checkpoint_fails_the_job_and_keeps_the_older_export(
    served: Served, workspace: Path
) -> None:
    first = export(served, spec())
    checkpoint = workspace / f"weights/tfidf_hsgd/shop/best_{TIME}.safetensors"
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 1
    checkpoint.write_bytes(content)
    job = export(served, spec())
    assert job.status.state == jobs_pb2.JOB_STATE_FAILED
    assert job.status.error.type == "CheckpointError"
    download(served, first.id)
    assert not list((workspace / "outputs").glob(".tmp-*"))


# -- jobs ------------------------------------------------------------------------------------------


def test_lists_come_in_pages_and_by_filter(served: Served) -> None:
    made = [create(served, spec(model)).id for model in (*MODELS, MODELS[0])]
    request = pb.ListExportJobsRequest(page_size=2)
    first = served.calls.ListExportJobs(request)
    request.page_token = first.next_page_token
    second = served.calls.ListExportJobs(request)
    assert [job.id for job in [*first.export_jobs, *second.export_jobs]] == made[::-1]
    assert second.next_page_token == ""
    one = served.calls.ListExportJobs(pb.ListExportJobsRequest(model=MODELS[1]))
    assert [job.id for job in one.export_jobs] == made[1:2]
    for other in (
        pb.ListExportJobsRequest(model=MODELS[0], page_token=first.next_page_token),
        pb.ListExportJobsRequest(page_token="nonsense"),
    ):
        code, fields, _ = refused(served.calls.ListExportJobs, other)
        assert (code, fields) == ("INVALID_ARGUMENT", ["page_token"])
    for filters, field in (
        ({"dataset": "../x"}, "dataset"),
        ({"model": "/"}, "model"),
        ({"states": [99]}, "states[0]"),
        ({"page_size": -1}, "page_size"),
    ):
        wrong = pb.ListExportJobsRequest(**filters)
        code, fields, _ = refused(served.calls.ListExportJobs, wrong)
        assert (code, fields) == ("INVALID_ARGUMENT", [field])


@pytest.mark.parametrize("job_id", ["", "none", "../../etc", "x" * 5000])
def test_what_is_no_job_s_id_is_refused_by_its_field(resting: Served, job_id: str) -> None:
    calls = resting.calls
    for call, field in (
        (lambda: calls.GetExportJob(pb.GetExportJobRequest(id=job_id)), "id"),
        (lambda: list(calls.WatchExportJob(pb.WatchExportJobRequest(id=job_id))), "id"),
        (lambda: calls.CancelExportJob(pb.CancelExportJobRequest(id=job_id)), "id"),
        (lambda: download(resting, job_id), "export_job_id"),
    ):
        assert refused(call)[:2] == ("INVALID_ARGUMENT", [field])


def test_watching_begins_where_one_likes(served: Served) -> None:
    job = export(served, spec())
    last = job.status.last_event
    for after in (0, 3, last):
        request = pb.WatchExportJobRequest(id=job.id, after_event=after)
        found = [response.event.sequence for response in served.calls.WatchExportJob(request)]
        assert found == list(range(after + 1, last + 1))
    wrong = pb.WatchExportJobRequest(id=job.id, after_event=last + 1)
    code, fields, _ = refused(lambda: list(served.calls.WatchExportJob(wrong)))
    assert (code, fields) == ("INVALID_ARGUMENT", ["after_event"])
