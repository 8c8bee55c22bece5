"""Small files and texts that are read whole: JSON, tokens and the tokens of pages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given

from exporter.manifests import manifest_to_bytes, read_manifest
from exporter.results import ExportedCheckpoint, ExportedFile, Manifest, ParityResult
from fuzz.damage import (
    Change,
    Edit,
    Nested,
    changed,
    changes,
    edited,
    edits,
    fuzzed,
    json_bytes,
    survives,
)
from ktt.trainer.v1.training_pb2 import ListTrainingJobsRequest
from ktt_core.config import build_config, read_hyperparameters
from ktt_core.datasets.hierarchy import parse_hierarchy
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import DataError, InvalidArgumentError, KttError
from ktt_core.registry import get_model
from ktt_jobs.publishing import prepare, resolve
from ktt_models.pytorch.encoders.folder import read_facts
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder
from ktt_packing.request import read_request
from ktt_rpc.paging import next_page_token, page_cursor
from ktt_rpc.tokens import TokenSet
from trainer.resuming import read_run_time, write_run_time

DEEP = (Change("add", 0, Nested(100_000)),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("documents")


@pytest.fixture(scope="module")
def manifest(folder) -> bytes:
    return manifest_to_bytes(
        Manifest(
            format="onnx",
            model="tfidf_hsgd",
            dataset="shop",
            checkpoint=ExportedCheckpoint("best_x", "best", "2026-01-31T12:34:56", "00" * 32),
            versions={"numpy": "2.4"},
            opset=17,
            parity=ParityResult(10, "test", 1.0, 0.0, 0.999, 1e-4),
            temperature=1.5,
            files=(ExportedFile("model.onnx", 1, "00" * 32),),
            create_time=datetime(2026, 1, 31, tzinfo=UTC),
        )
    )


def read_as_manifest(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    survives(lambda: read_manifest(folder), DataError, folder=folder)


@fuzzed(60)
@given(edits())
def test_the_bytes_of_a_manifest(folder, manifest, damage):
    read_as_manifest(folder, edited(manifest, damage))


@fuzzed(100)
@given(changes())
@example(DEEP)
def test_the_values_of_a_manifest(folder, manifest, damage):
    read_as_manifest(folder, json_bytes(changed(json.loads(manifest), damage)))


@pytest.fixture(scope="module")
def hierarchy(folder) -> bytes:
    source = folder / "source.csv"
    rows = "".join(f"text {n},A > {n % 3}\n" for n in range(30))
    source.write_text(f"text,path\n{rows}")
    import_dataset(source, folder / "toys", ImportOptions("text", "path", " > "))
    return (folder / "toys/hierarchy.json").read_bytes()


@fuzzed(60)
@given(edits())
def test_the_bytes_of_a_hierarchy(hierarchy, damage):
    content = edited(hierarchy, damage)
    survives(lambda: parse_hierarchy(Path("hierarchy.json"), content), DataError)


@fuzzed(150)
@given(changes())
@example(DEEP)
def test_the_values_of_a_hierarchy(hierarchy, damage):
    content = json_bytes(changed(json.loads(hierarchy), damage))
    survives(lambda: parse_hierarchy(Path("hierarchy.json"), content), DataError)


@fuzzed(60)
@given(changes())
@example(DEEP)
def test_a_request_to_pack(folder, damage):
    request = {
        "format_version": 1,
        "model": "tfidf_hsgd",
        "dataset": "toys",
        "display_name": "A model",
        "service_module": "ktt_models.tfidf_hsgd.bentoml.svc_lts",
        "artifacts": str(folder),
        "output": str(folder / "bundle"),
        "service_version": "20260131T123456",
        "gpu": True,
        "sources": str(folder),
        "monitoring": {
            "reference_set_path": "references.parquet",
            "grafana_dashboard_path": "dashboard.json",
            "evidently_config": "evidently.yaml",
        },
    }
    path = folder / "request.json"
    path.write_bytes(json_bytes(changed(request, damage)))
    survives(lambda: read_request(path), InvalidArgumentError, folder=folder)


@pytest.mark.parametrize("name", ["tfidf_hsgd", "db_bhcn"])
@fuzzed(60)
@given(changes())
@example((Change("replace", 3, Nested(930)),))
@example((Change("replace", 3, Nested(600)),))
def test_hyperparameters(folder, name, damage):
    config_class = get_model(name).config_class
    path = folder / "hyperparameters.json"
    values = {name: build_config(config_class, name).model_dump(mode="json")}
    path.write_bytes(json_bytes(changed(values, damage)))

    def read() -> None:
        build_config(config_class, name, read_hyperparameters(path).get(name, {}))

    survives(read, KttError, folder=folder)


@fuzzed(60)
@given(changes())
@example(DEEP)
def test_the_result_of_a_job(folder, damage):
    job = folder / "job"
    job.mkdir(exist_ok=True)
    prepare(job, {"rows": 1}, [folder / "nowhere"], folder / "no marker")
    path = job / "result.json"
    value = changed(json.loads(path.read_bytes()), damage)
    path.write_bytes(json_bytes(value))
    # What is damaged counts as not done; what it names may be removed, so let it name nothing.
    if isinstance(value, dict) and value.get("proofs") == [str(folder / "nowhere")]:
        survives(lambda: resolve(job))


@fuzzed(40)
@given(changes())
@example(DEEP)
@example((Change("replace", 0, []),))
def test_what_a_job_keeps(folder, damage):
    keep = folder / "kept"
    keep.mkdir(exist_ok=True)
    write_run_time(keep, "2026-01-31T12:34:56")
    (path,) = keep.iterdir()
    path.write_bytes(json_bytes(changed(json.loads(path.read_bytes()), damage)))
    survives(lambda: read_run_time(keep), DataError, folder=keep)


@fuzzed(60)
@given(edits())
def test_a_file_of_tokens(folder, damage):
    path = folder / "tokens"
    path.touch(0o600)
    path.write_bytes(
        edited(b"# ours\n0123456789abcdef0123456789abcdef\nfedcba98765432100\n", damage)
    )
    survives(lambda: TokenSet.from_file(path), InvalidArgumentError, folder=folder)


@fuzzed(60)
@given(edits())
def test_a_page_token(damage):
    token = next_page_token(ListTrainingJobsRequest(dataset="a"), "2026-01-31 job")
    text = edited(token.encode(), damage).decode("latin-1")
    request = ListTrainingJobsRequest(dataset="a", page_token=text)
    cursor = survives(lambda: page_cursor(request), InvalidArgumentError)
    assert cursor in (None, "2026-01-31 job")


@pytest.fixture(scope="module")
def encoder(folder) -> Path:
    return write_tiny_encoder(folder / "encoder", ["some texts"], width=8, layers=1)


def damage_file(path: Path, content: bytes, read: Any) -> None:
    """Read while a file has other contents."""
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        survives(read, KttError, folder=path.parent)
    finally:
        path.write_bytes(whole)


@fuzzed(60)
@given(changes())
@example(DEEP)
def test_the_config_of_an_encoder(encoder, damage):
    path = encoder / "config.json"
    content = json_bytes(changed(json.loads(path.read_bytes()), damage))
    damage_file(path, content, lambda: read_facts(encoder))


@fuzzed(60)
@given(changes())
@example(DEEP)
@example((Change("replace", 9, 1e308),))
def test_the_header_of_an_encoders_weights(encoder, damage):
    path = encoder / "model.safetensors"
    whole = path.read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    header = json_bytes(changed(json.loads(whole[8:end]), damage))
    content = len(header).to_bytes(8, "little") + header + whole[end:]

    def read() -> None:
        facts = read_facts(encoder)
        assert type(facts.parameters) is int and facts.parameters >= 0

    damage_file(path, content, read)


@fuzzed(40)
@given(edits())
@example((Edit("cut", 0.0),))
def test_the_bytes_of_an_encoders_weights(encoder, damage):
    path = encoder / "model.safetensors"
    damage_file(path, edited(path.read_bytes(), damage), lambda: read_facts(encoder))
