"""The example runs an exported folder on onnxruntime alone, far from this repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tokenizers

from ktt_core.config import build_config
from ktt_core.decoding import decode
from ktt_core.model import Batch, Model
from ktt_core.registry import get_model
from ktt_core.taxonomy import Taxonomy
from ktt_models import pytorch
from ktt_models.export.onnx_layout import write_hierarchy
from ktt_models.export.package import package_sources, write_package

EXAMPLE = Path.cwd() / "examples/onnx_predict.py"

PATHS = [("Sport", "Shoes"), ("Sport", "Balls"), ("Music", "Guitars"), ("Books",)]
# Of the export that ktt_models keeps for its tests.
ENCODER_PATHS = [("a", "b", "c"), ("a", "b", "d"), ("a", "e"), ("f",), ("g", "h")]
TEXTS = ["running shoes", "tennis balls", "electric guitars", "a novel"]


class Rows:
    """The texts, ten times each."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.codes = np.array([taxonomy.encode(path) for path in PATHS] * 10, dtype=np.int32)
        self.n_rows = len(self.codes)

    def __iter__(self):
        yield Batch({"text": TEXTS * 10}, self.codes)


@pytest.fixture(params=["tfidf_lsgd", "tfidf_hsgd"])
def model(request) -> Model:
    taxonomy, model_class = Taxonomy.from_paths(PATHS), get_model(request.param)
    config = build_config(model_class.config_class, request.param, {"n_jobs": 1, "epochs": 3})
    model = model_class(taxonomy, config)
    model.fit(Rows(taxonomy), Rows(taxonomy))
    return model


def run_example(folder: Path, script: Path, *texts: str) -> list[list[str]]:
    """Run it isolated: not even the variables of the environment say where KTT is."""
    packages = {str(Path(package.__path__[0]).parent) for package in (onnxruntime, np, tokenizers)}
    code = (
        "import runpy, sys; sys.path += sys.argv[1].split(':'); sys.argv = sys.argv[2:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-I", "-B", "-c", code, ":".join(packages)]
    command += [str(script), str(folder), *texts]
    environment = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_the_example_answers_as_the_model(model: Model, tmp_path: Path) -> None:
    folder, script = tmp_path / "export", tmp_path / "onnx_predict.py"
    folder.mkdir()
    model.export_onnx(folder)
    shutil.copy(EXAMPLE, script)
    texts = [*TEXTS, "Tennis  BALLS\t!", "", "☃"]
    answers = run_example(folder, script, *texts)
    cleaned = [*TEXTS, "Tennis BALLS !", "", "☃"]
    decoded = decode(
        model.level_scores({"text": cleaned}), model.taxonomy, temperature=model.temperature
    )
    expected = [prediction for (prediction,) in decoded.predictions()]
    assert [path.split(" > ") for path, _ in answers] == [list(p.path) for p in expected]
    for (_, printed), prediction in zip(answers, expected, strict=True):
        assert float(printed) == pytest.approx(prediction.probability, abs=6e-4)
    assert [path for path, _ in answers[:4]] == [" > ".join(path) for path in PATHS]


def test_the_example_runs_an_encoder_models_folder_too(tmp_path: Path) -> None:
    folder, script = tmp_path / "export", tmp_path / "onnx_predict.py"
    shutil.copytree(Path(pytorch.__path__[0]) / "onnx/testdata", folder)
    # The classes and the code are not kept there: they are what an export writes today.
    taxonomy = Taxonomy.from_paths(ENCODER_PATHS)
    write_hierarchy(taxonomy, folder)
    sources = package_sources("ktt_core.preprocessors.token_rows", "TokenRows")
    write_package({path: source.encode() for path, source in sources.items()}, folder)
    shutil.copy(EXAMPLE, script)
    known = json.loads((folder / "answers.json").read_text())
    texts = [text for text in known["texts"] if "\0" not in text]
    answers = run_example(folder, script, *texts)
    proba = np.array([p for t, p in zip(known["texts"], known["proba"], strict=True) if t in texts])
    expected = [" > ".join(taxonomy.leaf_paths[leaf]) for leaf in proba.argmax(axis=1)]
    assert [path for path, _ in answers] == expected
    found = [float(printed) for _, printed in answers]
    np.testing.assert_allclose(found, proba.max(axis=1), atol=6e-4)


def test_the_example_is_short_and_knows_nothing_of_us() -> None:
    source = EXAMPLE.read_text()
    assert len(source.splitlines()) <= 25
    assert "ktt" not in source.lower()
