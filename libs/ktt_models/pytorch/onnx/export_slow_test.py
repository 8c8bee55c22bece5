"""Every encoder model is exported whole: a graph that answers as it, on any batch and length."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import tokenizers
import torch
from onnx import numpy_helper

from ktt_core.config import build_config
from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import DataError, UnsupportedError
from ktt_core.model import Batch
from ktt_core.preprocessors.token_rows import TokenRows
from ktt_core.reference import pool_features
from ktt_core.registry import get_model
from ktt_core.taxonomy import Taxonomy
from ktt_models.export.onnx_layout import IR_VERSION, OPSET
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder
from ktt_models.pytorch.inference import predict_scores
from ktt_models.pytorch.onnx import graph

RAGGED = Taxonomy.from_paths(
    [
        ("Sport", "Shoes", "Running"),
        ("Sport", "Shoes", "Walking"),
        ("Sport", "Balls"),
        ("Music", "Guitars", "Electric", "Solid"),
        ("Books",),
    ]
)
FLAT = Taxonomy.from_paths([("Shoes",), ("Balls",), ("Guitars",)])
TEXTS = [
    "running shoes",
    "hiking boots for long walks in the mountains",
    "a football",
    "electric guitars",
    "poems & books",
] * 9
ODD = ["", " \t\x00", "\U0001f3b8 ☃", "naïve CAFÉ\u2028İstanbul", "guitars " * 5000, "x" * 100_000]
MAX_LENGTH = 16
# Each head on another architecture, some of widths that 32 does not divide.
MODELS: dict[str, dict[str, Any]] = {
    "db_linear": {"architecture": "distilbert", "width": 32, "pooling": "mean"},
    "db_bhcn": {"architecture": "bert", "width": 40, "pooling": "cls"},
    "db_bhcn_awx": {"architecture": "mpnet", "width": 32, "pooling": "mean"},
    "db_ahmcnf": {"architecture": "roberta", "width": 32, "pooling": "cls"},
    "db_achmcnn": {"architecture": "electra", "width": 36, "pooling": "mean"},
}


def made(model_id, encoder, taxonomy=RAGGED, pooling="mean"):
    model_class: Any = get_model(model_id)
    values = {"encoder": str(encoder), "pooling": pooling, "max_len": MAX_LENGTH}
    model = model_class(taxonomy, build_config(model_class.config_class, model_id, values))
    model.build()
    model.temperature = 0.7
    # Answers of random weights are nearly the same for all texts; these are not.
    with torch.no_grad():
        for weight in model.network.head.parameters():
            weight.mul_(3)
    return model


@pytest.fixture(scope="module", params=sorted(MODELS))
def model(request, tmp_path_factory):
    settings = dict(MODELS[request.param])
    pooling = settings.pop("pooling")
    encoder = write_tiny_encoder(tmp_path_factory.mktemp("encoder"), TEXTS, **settings)
    return made(request.param, encoder, pooling=pooling)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    before = model.network.training
    model.export_onnx(folder)
    assert model.network.training in (before, False)
    return folder


def test_it_answers_as_its_model(model, folder):
    figures = model.onnx_parity(folder, iter([*TEXTS, *ODD]))
    assert figures.rows == len(TEXTS) + len(ODD)
    assert figures.top_path_agreement == 1.0
    assert figures.max_probability_difference < 1e-5


@pytest.mark.parametrize("texts", [TEXTS[:1], TEXTS, ODD, [""]])
def test_all_outputs_are_the_models_own(model, folder, texts):
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    inputs = TokenRows(folder)(texts)
    found = session.run(["log_proba", "scores", "features"], inputs)
    features, levels = predict_scores(model.network, inputs, model.config)
    expected = [leaf_log_proba(levels, RAGGED, 0.7), np.concatenate(levels, axis=1)]
    for one, other in zip(found, [*expected, pool_features(features)], strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=2e-5)


def test_the_graph_is_lean_and_tells_nothing_of_this_machine(model, folder):
    path = folder / "model.onnx"
    written = onnx.load(path)
    assert (written.ir_version, written.opset_import[0].version) == (IR_VERSION, OPSET)
    assert type(model).onnx_opset == OPSET
    # No operator that only one runtime has.
    assert [entry.domain for entry in written.opset_import] == [""]
    assert {node.domain for node in written.graph.node} == {""}
    weights = sum(weight.nbytes for weight in model.network.parameters())
    # Weights that no answer depends on are left out.
    assert 0.98 * weights < path.stat().st_size < weights + 40_000
    content = path.read_bytes()
    for place in (str(folder.parent), sys.prefix, "site-packages", ".py", "ktt_models"):
        assert place.encode() not in content, place
    assert [[d.dim_param for d in i.type.tensor_type.shape.dim] for i in written.graph.input] == [
        ["batch", "sequence"]
    ] * 2


def test_the_folder_holds_what_its_readme_says(model, folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.md", "hierarchy.json", "model.onnx", "text_rows", "tokenizer.json"}
    readme = (folder / "README.md").read_text()
    assert not [name for name in names if name not in readme and name != "README.md"]
    assert "0.7" in readme
    hierarchy = json.loads((folder / "hierarchy.json").read_text())
    assert Taxonomy.from_json(hierarchy["taxonomy"]) == RAGGED


# -- on one of them --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder"), TEXTS)


@pytest.fixture(scope="module")
def linear(encoder):
    return made("db_linear", encoder)


@pytest.fixture(scope="module")
def whole(linear, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    linear.export_onnx(folder)
    codes = np.array([RAGGED.encode(("Books",))] * len(TEXTS), dtype=np.int32)
    figures = linear.quantize_onnx(folder, "int8", [Batch({"text": TEXTS}, codes)])
    return folder, figures


@pytest.fixture()
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole[0], tmp_path / "copy"))


def test_it_runs_without_torch_and_without_ktt(linear, whole, tmp_path):
    code = """
import sys
sys.path += sys.argv[1].split(":")
folder, *texts = sys.argv[2:]
sys.path.insert(0, folder)
import json, onnxruntime
from text_rows import TextRows
for name in ("model.onnx", "model.int8.onnx"):
    session = onnxruntime.InferenceSession(f"{folder}/{name}")
    proba = session.run(["log_proba"], TextRows(folder)(texts))[0]
    print(json.dumps(proba.argmax(axis=1).tolist()))
assert not {"torch", "transformers", "ktt_core", "ktt_models"} & sys.modules.keys()
"""
    # The packages alone, not all that stands beside them.
    for package in (onnxruntime, np, tokenizers):
        source = Path(package.__path__[0])
        (tmp_path / source.name).symlink_to(source)
        for beside in source.parent.glob(f"{source.name}.libs"):
            (tmp_path / beside.name).symlink_to(beside)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", code, str(tmp_path), str(whole[0]), *TEXTS[:5]],
        env={key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    original, quantized = map(json.loads, done.stdout.splitlines())
    inputs = linear.preprocessor(TEXTS[:5])
    assert original == linear.level_scores(inputs)[0].argmax(axis=1).tolist()
    assert len(quantized) == len(original)


def test_a_quantized_graph_stands_beside_the_other(linear, whole):
    folder, figures = whole
    assert (figures.scheme, figures.path, figures.rows) == ("int8", "model.int8.onnx", len(TEXTS))
    assert figures.original.size_bytes == (folder / "model.onnx").stat().st_size
    assert figures.quantized.size_bytes == (folder / "model.int8.onnx").stat().st_size
    assert figures.quantized.size_bytes < figures.original.size_bytes
    assert figures.top_path_agreement > 0.5
    original = onnx.load(folder / "model.onnx")
    assert not [n for n in original.graph.node if "Integer" in n.op_type]
    quantized = onnx.load(folder / "model.int8.onnx")
    kinds = [node.op_type for node in quantized.graph.node]
    # The head's product and those of two layers, but for the two of each that have no weights.
    assert kinds.count("MatMulInteger") == 1 + 2 * 6
    assert kinds.count("MatMul") == 2 * 2
    assert linear.onnx_parity(folder, TEXTS).passed


def test_only_known_schemes_and_rows_quantize(linear, copy):
    with pytest.raises(UnsupportedError, match="db_linear cannot be quantized to int4"):
        linear.quantize_onnx(copy, "int4", [])
    with pytest.raises(DataError, match="there are no rows to compare"):
        linear.quantize_onnx(copy, "int8", [])


def test_a_graph_of_large_weights_has_them_beside_it(linear, tmp_path, monkeypatch):
    monkeypatch.setattr(graph, "MAX_FILE_BYTES", 1000)
    linear.export_onnx(tmp_path)
    assert (tmp_path / "model.onnx.data").stat().st_size > (tmp_path / "model.onnx").stat().st_size
    assert linear.onnx_parity(tmp_path, TEXTS).passed
    codes = np.array([RAGGED.encode(("Books",))] * len(TEXTS), dtype=np.int32)
    figures = linear.quantize_onnx(tmp_path, "int8", [Batch({"text": TEXTS}, codes)])
    files = [tmp_path / "model.onnx", tmp_path / "model.onnx.data"]
    assert figures.original.size_bytes == sum(file.stat().st_size for file in files)


def test_a_taxonomy_of_one_level_is_exported_too(encoder, tmp_path):
    model = made("db_bhcn", encoder, FLAT)
    model.export_onnx(tmp_path)
    assert model.onnx_parity(tmp_path, TEXTS).max_probability_difference < 1e-5


def test_other_weights_fail_the_check(linear, copy):
    path = copy / "model.onnx"
    changed = onnx.load(path)
    (bias,) = [t for t in changed.graph.initializer if t.name == "network.head.linear.bias"]
    value = numpy_helper.to_array(bias) + np.arange(5, dtype=np.float32)
    bias.CopyFrom(numpy_helper.from_array(value, bias.name))
    onnx.save(changed, path)
    assert not linear.onnx_parity(copy, TEXTS).passed


def test_another_tokenizer_fails_the_check(linear, copy):
    path = copy / "tokenizer.json"
    path.write_text(path.read_text().replace('"max_length":16', '"max_length":4'))
    assert not linear.onnx_parity(copy, TEXTS).passed


@pytest.mark.parametrize("name", ["model.onnx", "hierarchy.json", "tokenizer.json"])
def test_a_damaged_or_missing_file_is_named(name, linear, copy):
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=str(copy)):
        linear.onnx_parity(copy, TEXTS)
    (copy / name).unlink()
    with pytest.raises(DataError, match=str(copy)):
        linear.onnx_parity(copy, TEXTS)


def test_a_model_that_is_not_trained_exports_nothing(encoder, tmp_path):
    model_class = get_model("db_linear")
    config = build_config(model_class.config_class, "db_linear", {"encoder": str(encoder)})
    with pytest.raises(UnsupportedError, match="not trained"):
        model_class(RAGGED, config).export_onnx(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_no_graph_is_said(linear, tmp_path, monkeypatch):
    def undecided(self, features):
        return [features[:, :5] if features.sum() > 0 else features[:, 5:10]]

    monkeypatch.setattr(type(linear.network), "level_scores", undecided)
    with pytest.raises(UnsupportedError, match="cannot be written as a graph"):
        linear.export_onnx(tmp_path)


def test_a_bundle_s_artifacts_are_the_export_s_files_and_answer_as_the_model(
    model, folder, tmp_path
):
    model.export_artifacts(tmp_path)
    figures = model.artifacts_parity(tmp_path, TEXTS)
    assert figures.passed
    assert figures.max_feature_difference < 1e-4
    assert figures.rows == len(TEXTS)
    for name in ("model.onnx", "hierarchy.json", "tokenizer.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    said = json.loads((tmp_path / "model.json").read_text())
    assert (said["kind"], said["max_length"]) == ("onnx", MAX_LENGTH)
    width = model.network.encoder.width
    assert said["feature_names"] == [str(number) for number in range(-(-width // 32))]
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(DataError, match="do not work"):
        model.artifacts_parity(tmp_path, TEXTS)


def test_a_bundle_s_quantized_graph_makes_the_reference_set(linear, tmp_path):
    linear.export_artifacts(tmp_path)
    codes = linear.taxonomy.leaf_codes[np.arange(len(TEXTS)) % linear.taxonomy.n_leaves]
    rows = [Batch({"text": TEXTS[:3]}, codes[:3]), Batch({"text": TEXTS[3:]}, codes[3:])]
    figures = linear.quantize_artifacts(tmp_path, "int8", iter(rows))
    assert (figures.path, figures.rows) == ("model.int8.onnx", len(TEXTS))
    assert {path.name for path in tmp_path.glob("*.onnx*")} == {"model.int8.onnx"}
    said = json.loads((tmp_path / "model.json").read_text())
    assert (said["graph"], said["quantized"]) == ("model.int8.onnx", "int8")
    table = linear.artifacts_reference_set(tmp_path, iter(rows))
    assert table.column_names == ["targets", *said["feature_names"], *said["score_columns"]]
    session = onnxruntime.InferenceSession(tmp_path / "model.int8.onnx")
    text_rows = TokenRows(tmp_path)
    for row, text in enumerate(TEXTS):
        log_proba, features = session.run(["log_proba", "features"], text_rows([text]))
        found = [table[name][row].as_py() for name in table.column_names[1:]]
        wanted = np.concatenate([features[0], np.exp(log_proba[0])])
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
