"""A model from outside ``libs/`` registers by its entry point alone and goes the whole road."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import GUIDE, copy_listing, install_model
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder

PRODUCTS = Path.cwd() / "examples/products.csv"
EXAMPLE = Path.cwd() / "examples/onnx_predict.py"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Install the example."""
    return install_model(tmp_path / "installed", "centroid")


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


def test_the_guide_prints_the_examples_service(tmp_path: Path) -> None:
    assert copy_listing("centroid", tmp_path)
    printed = tmp_path / "centroid/bentoml/svc_lts.py"
    assert printed.read_text() == (PRODUCTS.parent / "centroid/bentoml/svc_lts.py").read_text()


def test_an_outside_model_says_what_it_does_not_export(environment: dict[str, str]) -> None:
    code = (
        "from ktt_core.registry import get_model\n"
        "from ktt_core.taxonomy import Taxonomy\n"
        "model = get_model('centroid')\n"
        "model(Taxonomy.from_paths([('a',), ('b',)]), model.config_class()).export('products')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert "UnsupportedError: centroid does not export onnx; it exports: bento" in done.stderr


def run_steps(environment: dict[str, str], folder: Path, *steps: list[str]) -> None:
    for step in steps:
        done = ktt(environment, folder, *step)
        assert done.returncode == 0, done.stdout + done.stderr


IMPORT = ["data", "import", str(PRODUCTS), "products"]
IMPORT += ["--text", "title", "--classes", "category", "--sep", " > "]


def test_the_guides_scikit_learn_model_works_as_printed(tmp_path: Path) -> None:
    assert 0 < copy_listing("tfidf_nb", tmp_path / "installed") < 52
    environment = install_model(tmp_path / "installed", "tfidf_nb")
    training = ["train", "products", "-m", "tfidf_nb", "-r", "--set", "smoothing=0.05"]
    exporting = ["export", "products", "-m", "tfidf_nb", "--output", "served"]
    run_steps(environment, tmp_path, IMPORT, training, exporting)
    answer = ktt(environment, tmp_path, "predict", "products", "-m", "tfidf_nb", "--json", "kettle")
    assert json.loads(answer.stdout)[0]["predictions"][0]["path"] == ["Kitchen", "Appliances"]
    assert answer_of_example(tmp_path / "served/tfidf_nb_products").startswith(
        "Kitchen > Appliances\t"
    )


def test_an_error_of_an_estimator_is_told_as_the_models_own(tmp_path: Path) -> None:
    copy_listing("tfidf_nb", tmp_path / "installed")
    module = tmp_path / "installed/tfidf_nb/tfidf_nb.py"
    module.write_text(module.read_text().replace("MultinomialNB(", "MultinomialNB(fit_prior=7, "))
    environment = install_model(tmp_path / "installed", "tfidf_nb")
    run_steps(environment, tmp_path, IMPORT)
    failed = ktt(environment, tmp_path, "train", "products", "-m", "tfidf_nb")
    assert "tfidf_nb: MultinomialNB cannot be trained: InvalidParameterError: " in failed.stderr
    assert "bug in KTT" not in failed.stderr
    assert not (tmp_path / "workspace/weights/tfidf_nb/products").exists()


def test_the_guides_preprocessor_goes_the_whole_road(tmp_path: Path) -> None:
    copy_listing("tfidf_nb", tmp_path / "installed")
    (method,) = re.findall(
        r"^```python\n(    @classmethod\n    def get_preprocessor.*?)^```",
        GUIDE.read_text(encoding="utf-8"),
        re.S | re.M,
    )
    module = tmp_path / "installed/tfidf_nb/tfidf_nb.py"
    module.write_text(f"{module.read_text()}\n{method}")
    environment = install_model(tmp_path / "installed", "tfidf_nb")
    training = ["train", "products", "-m", "tfidf_nb"]
    exporting = ["export", "products", "-m", "tfidf_nb", "--output", "served"]
    run_steps(environment, tmp_path, IMPORT, training, exporting)
    folder = tmp_path / "served/tfidf_nb_products"
    assert json.loads((folder / "preprocessor.json").read_text())["kind"] == "numberless"
    assert answer_of_example(folder, "kettle 12") == answer_of_example(folder, "kettle 7 9")


def answer_of_example(folder: Path, text: str = "kettle") -> str:
    """Return what the example program says of a text, with an exported folder."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), str(folder), text], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_guides_pytorch_model_works_as_printed(tmp_path: Path) -> None:
    assert 0 < copy_listing("db_prototypes", tmp_path / "installed") < 65
    environment = install_model(tmp_path / "installed", "db_prototypes")
    encoder = write_tiny_encoder(tmp_path / "encoder", PRODUCTS.read_text().splitlines(), 64)
    rates = ["--set", "encoder_lr=0.003", "--set", "classifier_lr=0.01", "--set", "batch_size=16"]
    training = ["train", "products", "-m", "db_prototypes", "-r", "--set", f"encoder={encoder}"]
    training += [*rates, "--set", "sharpness=10", "--set", "class_weight=balanced", "-e", "6"]
    exporting = ["export", "products", "-m", "db_prototypes", "--output", "served"]
    run_steps(environment, tmp_path, IMPORT, training, exporting)
    answer = ktt(
        environment, tmp_path, "predict", "products", "-m", "db_prototypes", "--json", "kettle"
    )
    assert json.loads(answer.stdout)[0]["predictions"][0]["path"] == ["Kitchen", "Appliances"]
    folder = tmp_path / "served/db_prototypes_products"
    assert answer_of_example(folder).startswith("Kitchen > Appliances\t")


def test_outside_packages_that_are_broken_are_named_and_stop_nothing(tmp_path: Path) -> None:
    site = tmp_path / "site"
    environment = install_model(site, "centroid")
    registered = (
        "from ktt_core.registry import register\n"
        "@register({name!r}, display_name='x', framework='other')\n"
        "def load():\n"
        "    from {package}_model import Own\n"
        "    return Own\n"
    )
    sources = {
        "syntax": "def load(:\n",
        "path": registered.format(name="../evil", package="path"),
        "taken": registered.format(name="tfidf_lsgd", package="taken"),
        "late": registered.format(name="late", package="late"),
    }
    for name, source in sources.items():
        (site / f"{name}.py").write_text(source)
        (site / f"{name}-1.dist-info").mkdir()
        (site / f"{name}-1.dist-info/METADATA").write_text(f"Name: {name}\nVersion: 1\n")
        (site / f"{name}-1.dist-info/entry_points.txt").write_text(
            f"[ktt.models]\n{name} = {name}\n"
        )
    (site / "late_model.py").write_text("class Own(:\n")
    listed = ktt(environment, tmp_path, "models")
    assert listed.returncode == 0
    assert {"centroid", "late", "tfidf_lsgd"} <= {
        line.split()[0] for line in listed.stdout.split("\n")[1:-1]
    }
    assert sorted(listed.stderr.splitlines()) == [
        "Warning: the model package 'path' cannot be loaded: path: InvalidArgumentError: '../evil' "
        "is not a valid model name: use 1 to 63 letters, digits, '_' or '-', beginning with a "
        "letter or a digit",
        "Warning: the model package 'syntax' cannot be loaded: syntax: SyntaxError: invalid syntax "
        "(syntax.py, line 1)",
        "Warning: the model package 'taken' cannot be loaded: taken: ConflictError: two models are "
        "called 'tfidf_lsgd': ktt_models.tfidf_lsgd and taken",
    ]
    asked = ktt(environment, tmp_path, "models", "late")
    assert asked.returncode == 2
    assert "the model 'late' cannot be loaded: SyntaxError: " in asked.stderr
    assert "bug" not in asked.stderr
    completed = ktt(
        {**environment, "_KTT_COMPLETE": "bash_complete", "_KTT_LINE": "ktt models "},
        tmp_path,
    )
    assert "centroid" in completed.stdout
    assert not completed.stderr
