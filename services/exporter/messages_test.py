"""What goes over the wire comes back the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.job_kind import EXPORT
from exporter.manifests import (
    manifest_from_bytes,
    manifest_from_proto,
    manifest_to_bytes,
    manifest_to_proto,
)
from exporter.messages import (
    answer_from_proto,
    answer_to_proto,
    decoding_from_proto,
    decoding_to_proto,
    result_from_proto,
    result_to_proto,
    spec_from_proto,
    spec_to_proto,
)
from exporter.requests import FORMATS, QUANTIZATIONS, ExportSpec
from exporter.results import (
    ExportedCheckpoint,
    ExportedFile,
    ExportResult,
    Manifest,
    ParityResult,
    QuantizationResult,
)
from ktt.exporter.v1 import exports_pb2, predict_pb2
from ktt_core.decoding import Prediction
from ktt_core.errors import DataError, InvalidArgumentError
from ktt_core.progress import Progress
from ktt_core.quantization import GraphFigures, QuantizationFigures
from ktt_jobs import Job, JobError, JobState
from ktt_rpc.job_messages import job_from_proto, job_to_proto

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
name = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z")
share = st.floats(0, 1)
count = st.integers(0, 2**62)
# A Timestamp has microseconds here, and no leap seconds.
moment = st.datetimes(datetime(1970, 1, 2), datetime(9000, 1, 1), timezones=st.just(UTC))
specs = st.builds(
    ExportSpec,
    name,
    name,
    st.sampled_from(FORMATS),
    st.sampled_from(["best", "last"]),
    st.none() | st.just("2026-01-31T12:34:56"),
    st.booleans(),
    st.none() | st.sampled_from(QUANTIZATIONS),
)
graphs = st.builds(GraphFigures, count, share, share, share)
quantizations = st.builds(
    QuantizationResult,
    text,
    st.builds(
        QuantizationFigures, text, text, count, share, st.just(32), st.just(2), graphs, graphs
    ),
)
manifests = st.builds(
    Manifest,
    format=st.sampled_from(FORMATS),
    model=name,
    dataset=name,
    checkpoint=st.builds(ExportedCheckpoint, text, text, text, text, text),
    versions=st.dictionaries(text, text, max_size=3),
    opset=st.integers(0, 30),
    parity=st.builds(ParityResult, count, text, share, share, share, share),
    temperature=st.floats(0.01, 100),
    files=st.lists(st.builds(ExportedFile, text, count, text), max_size=3).map(tuple),
    create_time=moment,
    ir_version=st.integers(0, 12),
    quantization=st.none() | quantizations,
)
results = st.builds(ExportResult, text, manifests)
progress = st.builds(Progress, text, count, st.none() | count, text, st.dictionaries(text, share))
jobs = st.builds(
    Job,
    id=text,
    kind=st.just("export"),
    spec=specs.map(ExportSpec.to_json),
    labels=st.just({}),
    state=st.sampled_from(JobState),
    create_time=moment,
    start_time=st.none() | moment,
    end_time=st.none() | moment,
    progress=st.none() | progress,
    error=st.none()
    | st.builds(JobError, text, text, st.none() | st.integers(0, 255), text, st.tuples(text)),
    result=st.none() | results.map(ExportResult.to_json),
    attempt=st.integers(0, 9),
    last_event=count,
    jobs_ahead=st.integers(0, 9),
    request_id=text,
    cancel_requested=st.booleans(),
)


@settings(deadline=None)
@given(specs)
def test_specs_come_back(spec: ExportSpec) -> None:
    assert spec_from_proto(spec_to_proto(spec)) == spec
    assert ExportSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@settings(deadline=None)
@given(results)
def test_results_come_back(result: ExportResult) -> None:
    assert result_from_proto(result_to_proto(result)) == result
    assert ExportResult.from_json(json.loads(json.dumps(result.to_json()))) == result


@settings(deadline=None)
@given(manifests)
def test_manifests_come_back_from_messages_and_files(manifest: Manifest) -> None:
    assert manifest_from_proto(manifest_to_proto(manifest)) == manifest
    content = manifest_to_bytes(manifest)
    assert manifest_from_bytes(content, Path("m")) == manifest
    assert manifest_to_bytes(manifest_from_bytes(content, Path("m"))) == content


@settings(deadline=None)
@given(jobs)
def test_jobs_come_back(job: Job) -> None:
    back = job_from_proto(EXPORT, job_to_proto(EXPORT, job))
    spec = ExportSpec.from_json(job.spec)
    assert back.labels == {"dataset": spec.dataset, "model": spec.model}
    assert {**vars(back), "labels": {}} == vars(job)


@settings(deadline=None)
@given(st.lists(st.builds(Prediction, st.lists(text).map(tuple), share, st.just(()))))
def test_answers_come_back(predictions: list[Prediction]) -> None:
    assert answer_from_proto(answer_to_proto(predictions)) == predictions


def test_what_is_not_set_is_the_default() -> None:
    onnx = exports_pb2.EXPORT_FORMAT_ONNX
    spec = spec_from_proto(exports_pb2.ExportSpec(dataset="d", model="m", format=onnx))
    assert spec == ExportSpec("d", "m", "onnx", "best", None, True)
    assert decoding_from_proto(predict_pb2.DECODING_UNSPECIFIED) == "path"
    assert decoding_from_proto(decoding_to_proto("independent")) == "independent"


@pytest.mark.parametrize("value", [0, 77])
def test_a_format_that_is_none_is_named(value: int) -> None:
    with pytest.raises(InvalidArgumentError, match="give one of EXPORT_FORMAT_ONNX") as caught:
        spec_from_proto(exports_pb2.ExportSpec(format=value))  # type: ignore[arg-type]
    assert caught.value.field == "format"
    with pytest.raises(InvalidArgumentError, match="decoding 9: give one of DECODING_PATH"):
        decoding_from_proto(9)


def test_a_quantization_that_is_none_is_named() -> None:
    spec = exports_pb2.ExportSpec(format=exports_pb2.EXPORT_FORMAT_ONNX)
    spec.quantization = 9  # type: ignore[assignment]
    with pytest.raises(InvalidArgumentError, match="one of .*QUANTIZATION_INT8") as caught:
        spec_from_proto(spec)
    assert caught.value.field == "quantization"


def test_a_manifest_of_before_there_was_quantization_is_read() -> None:
    content = b'{"formatVersion": 1, "format": "onnx", "model": "m", "dataset": "d"}'
    manifest = manifest_from_bytes(content, Path("m"))
    assert (manifest.quantization, manifest.ir_version) == (None, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a manifest"),
        (b"\xff", "not a manifest"),
        (b"[]", "format version 0"),
        (b'{"model": 1}', "not a manifest"),
        (b'{"formatVersion": "x"}', "not a manifest"),
        (b'{"a":' * 100_000, "not a manifest"),
        (b"{}", "format version 0"),
        (b'{"formatVersion": 2}', "format version 2"),
    ],
)
def test_what_is_no_manifest_is_said(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        manifest_from_bytes(content, Path("manifest.json"))


def test_a_manifest_is_protobufs_own_json() -> None:
    manifest = Manifest(
        format="onnx",
        model="tfidf_hsgd",
        dataset="shop",
        checkpoint=ExportedCheckpoint("best_x.safetensors", "best", "2026-01-31T12:34:56", "ab"),
        versions={"numpy": "2.4"},
        opset=17,
        parity=ParityResult(10, "test", 1.0, 1e-6, 0.999, 1e-4),
        temperature=1.5,
        files=(ExportedFile("model.onnx", 12, "cd"),),
        create_time=datetime(2026, 1, 31, tzinfo=UTC),
    )
    value = json.loads(manifest_to_bytes(manifest))
    assert value["formatVersion"] == 1
    assert value["files"] == [{"path": "model.onnx", "sizeBytes": "12", "sha256": "cd"}]
    assert value["createTime"] == "2026-01-31T00:00:00Z"
