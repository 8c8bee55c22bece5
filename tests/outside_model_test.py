"""A model from outside ``libs/`` registers by its entry point alone and goes the whole road."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PRODUCTS = Path.cwd() / "examples/products.csv"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Install the example's entry point: what an installed package leaves beside its code."""
    installed = tmp_path / "installed"
    metadata = installed / "centroid-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: centroid\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[ktt.models]\ncentroid = centroid:load\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *sys.path])}


def ktt(
    environment: dict[str, str], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def test_an_outside_model_goes_the_whole_road(environment: dict[str, str], tmp_path: Path) -> None:
    listed = ktt(environment, tmp_path, "models", "--json")
    assert {"id": "centroid", "framework": "numpy"}.items() <= next(
        model for model in json.loads(listed.stdout) if model["id"] == "centroid"
    ).items()
    steps = [
        [
            "data",
            "import",
            str(PRODUCTS),
            "products",
            "--text",
            "title",
            "--classes",
            "category",
            "--sep",
            " > ",
        ],
        ["train", "products", "-m", "centroid", "-r", "--set", "sharpness=30", "--json"],
    ]
    for step in steps:
        done = ktt(environment, tmp_path, *step)
        assert done.returncode == 0, done.stdout + done.stderr
    evaluated = json.loads(
        ktt(environment, tmp_path, "evaluate", "products", "-m", "centroid", "--json").stdout
    )
    assert evaluated[0]["hierarchical_f1"] > 0.8
    answer = ktt(
        environment,
        tmp_path,
        "predict",
        "products",
        "-m",
        "centroid",
        "--json",
        "noise cancelling headphones",
    )
    assert json.loads(answer.stdout)[0]["predictions"][0]["path"] == [
        "Electronics",
        "Audio",
        "Headphones",
    ]


def test_an_outside_model_says_that_it_exports_nothing(environment: dict[str, str]) -> None:
    code = (
        "from ktt_core.registry import get_model\n"
        "from ktt_core.taxonomy import Taxonomy\n"
        "model = get_model('centroid')\n"
        "model(Taxonomy.from_paths([('a',), ('b',)]), model.config_class()).export('products')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert "UnsupportedError: centroid does not export onnx" in done.stderr
