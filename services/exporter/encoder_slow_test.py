"""Encoder models are exported like any other, and with a quantized graph if that is asked for."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from exporter import Exporter, ExportSpec
from exporter.conftest import TIME, Served, ended, import_other_classes
from exporter.manifests import read_manifest
from exporter.messages import spec_to_proto
from ktt.exporter.v1 import exports_pb2 as pb
from ktt_core.config import build_config
from ktt_core.errors import FailedPreconditionError
from ktt_core.registry import get_model
from ktt_core.workspace import Workspace
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder

QUANTIZED = ExportSpec("shop", "db_linear", quantize="int8")


@pytest.fixture
def encoded(workspace: Path, tmp_path: Path) -> Path:
    """Return a workspace that has a checkpoint of an encoder model, too."""
    places = Workspace(workspace)
    dataset = places.open_dataset("shop")
    encoder = write_tiny_encoder(tmp_path / "encoder", dataset.split("train").texts())
    model_class = get_model("db_linear")
    values = {"encoder": str(encoder), "max_len": 16}
    config = build_config(model_class.config_class, "db_linear", values)
    model = model_class(dataset.taxonomy, config)
    model.build()  # type: ignore[attr-defined]
    folder = places.weights_folder("db_linear", "shop")
    folder.mkdir(parents=True)
    model.save(folder / f"best_{TIME}.safetensors")
    return workspace


def test_the_manifest_has_what_both_graphs_measured(encoded: Path) -> None:
    result = Exporter(encoded).export(QUANTIZED)
    folder = encoded / result.path
    manifest = read_manifest(folder)
    assert manifest == result.manifest
    assert (manifest.opset, manifest.ir_version) == (18, 8)
    assert {"torch", "transformers", "onnx", "onnxruntime"} <= set(manifest.versions)
    assert manifest.quantization is not None
    figures = manifest.quantization.figures
    sizes = {file.path: file.size_bytes for file in manifest.files}
    assert figures.path == "model.int8.onnx"
    assert figures.original.size_bytes == sizes["model.onnx"]
    assert figures.quantized.size_bytes == sizes["model.int8.onnx"]
    assert figures.rows == manifest.parity.rows > 0
    assert (manifest.quantization.split, manifest.parity.split) == ("test", "test")
    for graph in (figures.original, figures.quantized):
        assert 0 <= graph.hierarchical_f1 <= 1
        assert graph.ms_alone > 0 and graph.ms_batched > 0
    operators = {node.op_type for node in onnx.load(folder / "model.onnx").graph.node}
    assert not [name for name in operators if "Integer" in name or "Quantize" in name]
    readme = (folder / "README.md").read_text()
    assert f"{figures.quantized.size_bytes:,} bytes" in readme


def test_a_quantized_graph_is_not_measured_on_other_classes(encoded: Path, tmp_path: Path) -> None:
    import_other_classes(encoded, tmp_path, ("Bread", "Wine"))
    with pytest.raises(FailedPreconditionError, match="trained on other classes"):
        Exporter(encoded).export(QUANTIZED)
    assert not (encoded / "outputs/db_linear_shop").exists()


def test_a_server_quantizes_if_asked_and_only_then(encoded: Path, served: Served) -> None:
    for spec in (QUANTIZED, ExportSpec("shop", "db_linear")):
        request = pb.CreateExportJobRequest(spec=spec_to_proto(spec))
        job = ended(served.calls, served.calls.CreateExportJob(request).export_job.id)
        manifest = job.result.manifest
        asked = spec.quantize is not None
        assert job.spec.quantization == (pb.QUANTIZATION_INT8 if asked else 0)
        assert manifest.HasField("quantization") == asked
        assert ("model.int8.onnx" in {file.path for file in manifest.files}) == asked
