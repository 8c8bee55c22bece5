"""The exporter over gRPC: what is asked for comes back, what cannot be says which field and why."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from exporter import servicer
from exporter.conftest import MODELS, TIME, Served
from exporter.messages import answer_from_proto
from ktt.exporter.v1 import exports_pb2 as pb
from ktt.exporter.v1 import predict_pb2
from ktt.jobs.v1 import jobs_pb2
from ktt_core.checkpoint import read_arrays, write_arrays

TEXTS = ["running shoes", "tennis ball", "electric guitar", "", "\0 \u2003", "абв 中文 \U0001f600"]


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


def refused(call: Callable[..., Any], *arguments: Any) -> tuple[str, list[str], str]:
    """Return the code, the fields and the message of a call that fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments)
    status = rpc_status.from_call(caught.value)
    assert status is not None, "an error has details"
    fields = []
    for detail in status.details:
        part = error_details_pb2.BadRequest()
        if detail.Unpack(part):
            fields += [violation.field for violation in part.field_violations]
    return caught.value.code().name, fields, caught.value.details()


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
        ({"format": pb.EXPORT_FORMAT_BENTO}, "UNIMPLEMENTED", ""),
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
def test_a_job_that_is_none_is_not_found(resting: Served, job_id: str) -> None:
    calls = resting.calls
    for call in (
        lambda: calls.GetExportJob(pb.GetExportJobRequest(id=job_id)),
        lambda: list(calls.WatchExportJob(pb.WatchExportJobRequest(id=job_id))),
        lambda: calls.CancelExportJob(pb.CancelExportJobRequest(id=job_id)),
        lambda: download(resting, job_id),
    ):
        assert refused(call)[0] in ("NOT_FOUND", "INVALID_ARGUMENT")


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


# -- predictions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"top_k": 3}, {"top_k": 3}),
        ({"top_k": 2, "min_confidence": 0.9}, {"top_k": 2, "min_confidence": 0.9}),
        ({"decoding": predict_pb2.DECODING_INDEPENDENT}, {"decoding": "independent"}),
        ({"run_time": TIME, "label": "best"}, {"time": TIME}),
    ],
)
def test_predictions_are_those_of_the_handler(
    resting: Served, model: str, fields: dict[str, Any], options: dict[str, Any]
) -> None:
    request = predict_pb2.PredictRequest(dataset="shop", model=model, texts=TEXTS, **fields)
    found = [answer_from_proto(answer) for answer in resting.calls.Predict(request).answers]
    expected = list(resting.exporter.predict("shop", model, TEXTS, **options))
    assert [[(entry.path, entry.probability) for entry in answer] for answer in found] == [
        [(entry.path, entry.probability) for entry in answer] for answer in expected
    ]


def test_no_texts_have_no_answers(resting: Served) -> None:
    request = predict_pb2.PredictRequest(dataset="shop", model="tfidf_hsgd")
    assert not resting.calls.Predict(request).answers


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"texts": ["x"] * 1001}, "INVALID_ARGUMENT", "texts"),
        ({"texts": ["x", "x" * 5_000_000, "ä" * 2_000_000]}, "INVALID_ARGUMENT", "texts[2]"),
        ({"top_k": -1}, "INVALID_ARGUMENT", "top_k"),
        ({"min_confidence": 2.0}, "INVALID_ARGUMENT", "min_confidence"),
        ({"min_confidence": float("nan")}, "INVALID_ARGUMENT", "min_confidence"),
        ({"decoding": 9}, "INVALID_ARGUMENT", "decoding"),
        ({"label": "x"}, "INVALID_ARGUMENT", "label"),
        ({"run_time": "x"}, "INVALID_ARGUMENT", "run_time"),
        ({"dataset": "../x"}, "INVALID_ARGUMENT", "dataset"),
        ({"model": ""}, "INVALID_ARGUMENT", "model"),
        ({"model": "none"}, "NOT_FOUND", ""),
        ({"dataset": "none"}, "NOT_FOUND", ""),
        ({"texts": ["x" * 20_000_000]}, "RESOURCE_EXHAUSTED", ""),
    ],
)
def test_bad_predictions_say_which_field(
    resting: Served, fields: dict[str, Any], code: str, field: str
) -> None:
    values = {"dataset": "shop", "model": "tfidf_hsgd", "texts": ["shoes"]} | fields
    request = predict_pb2.PredictRequest(**values)
    if code == "RESOURCE_EXHAUSTED":
        # gRPC itself refuses a message of that size, without details.
        with pytest.raises(grpc.RpcError) as caught:
            resting.calls.Predict(request)
        assert caught.value.code().name == code
    else:
        found = refused(resting.calls.Predict, request)
        assert found[:2] == (code, [field] if field else [])


def test_answers_are_bounded(resting: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicer, "MAX_PATHS", 7)
    request = predict_pb2.PredictRequest(
        dataset="shop", model="tfidf_hsgd", texts=["a", "b"], top_k=4
    )
    assert refused(resting.calls.Predict, request)[:2] == ("INVALID_ARGUMENT", ["top_k"])


def test_a_checkpoint_that_was_replaced_answers_anew(served: Served, workspace: Path) -> None:
    request = predict_pb2.PredictRequest(
        dataset="shop", model="tfidf_hsgd", texts=["running shoes"]
    )
    before = served.calls.Predict(request).answers[0].paths[0].probability
    path = workspace / f"weights/tfidf_hsgd/shop/best_{TIME}.safetensors"
    metadata, arrays = read_arrays(path, "tfidf_hsgd")
    write_arrays(path, {**metadata, "temperature": metadata["temperature"] * 3}, arrays)
    assert served.calls.Predict(request).answers[0].paths[0].probability < before
