"""An exported folder answers as its model, through nothing but its own files."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ktt_core.config import build_config
from ktt_core.errors import DataError, InvalidArgumentError, UnsupportedError
from ktt_core.model import Batch
from ktt_core.registry import get_model
from ktt_core.taxonomy import Taxonomy
from ktt_models.export.package import PACKAGE

RAGGED = [
    ("Sport", "Shoes", "Running"),
    ("Sport", "Shoes", "Walking"),
    ("Sport", "Balls"),
    ("Music", "Guitars", "Electric", "Solid"),
    ("Books",),
]
FLAT = [("Shoes",), ("Balls",), ("Guitars",), ("Drums",), ("Books",)]
WORDS = [
    ["running shoes", "trail runners"],
    ["walking shoes", "hiking boots"],
    ["football", "tennis balls"],
    ["electric guitars", "die elektrischen Gitarren"],
    ["novels", "poems & books"],
]
ODD = [
    "",
    "  \t\x00 ",
    "zzxy qqq",
    "\U0001f3b8\U0001f600 ☃",
    "naïve CAFÉ\u2028İstanbul ﬁx straße",
    "हिन्दी में कविता",
    "guitars " * 5000,
    "x" * 20_000,
]


class Rows:
    def __init__(self, taxonomy, paths, n_rows, seed):
        generator = np.random.default_rng(seed)
        which = generator.integers(len(paths), size=n_rows).tolist()
        self.texts = [f"{generator.choice(WORDS[i])} no {generator.integers(40)}" for i in which]
        self.codes = np.array([taxonomy.encode(paths[i]) for i in which], dtype=np.int32)
        self.n_rows = n_rows

    def __iter__(self):
        yield Batch({"text": self.texts}, self.codes)


def trained(model_id, paths=RAGGED, **values):
    model_class, taxonomy = get_model(model_id), Taxonomy.from_paths(paths)
    config = build_config(
        model_class.config_class, model_id, {"n_jobs": 1, "epochs": 3, "char_min_df": 1, **values}
    )
    model = model_class(taxonomy, config)
    model.fit(Rows(taxonomy, paths, 120, 0), Rows(taxonomy, paths, 30, 1))
    return model


def exported(model, folder):
    folder.mkdir()
    model.export_onnx(folder)
    return folder


TEXTS = [*Rows(Taxonomy.from_paths(RAGGED), RAGGED, 60, 2).texts, *ODD]


@pytest.fixture(scope="module", params=["tfidf_lsgd", "tfidf_hsgd"])
def model(request):
    return trained(request.param)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    return exported(model, tmp_path_factory.mktemp("export") / "folder")


@pytest.fixture()
def copy(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"paths": FLAT},
        {"char_ngrams": None},
        {"word_ngrams": None},
        {"stem": None},
        {"stem": "german"},
        {"stem": "hindi", "char_ngrams": (2, 3)},
        {"profile": "original", "min_df": 1},
    ],
)
@pytest.mark.parametrize("model_id", ["tfidf_lsgd", "tfidf_hsgd"])
def test_it_answers_as_its_model(model_id, values, tmp_path):
    model = trained(model_id, **values)
    figures = model.onnx_parity(exported(model, tmp_path / "export"), iter(TEXTS))
    assert figures.rows == len(TEXTS)
    assert figures.top_path_agreement == 1.0
    assert figures.max_probability_difference < 1e-5
    assert figures.passed


def test_the_folder_holds_what_its_readme_says(model, folder):
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(
        ["README.md", "hierarchy.json", "model.onnx", PACKAGE, "vocabulary.json", "vocabulary.npz"]
    )
    readme = (folder / "README.md").read_text()
    assert not [name for name in names if name not in readme and name != "README.md"]
    assert repr(model.temperature) in readme
    hierarchy = json.loads((folder / "hierarchy.json").read_text())
    assert Taxonomy.from_json(hierarchy["taxonomy"]) == model.taxonomy
    assert hierarchy["leaf_paths"] == [list(path) for path in model.taxonomy.leaf_paths]


def test_a_check_leaves_nothing_behind(model, copy):
    before = sorted(copy.rglob("*"))
    model.onnx_parity(copy, TEXTS[:3])
    assert sorted(copy.rglob("*")) == before
    assert not [name for name in sys.modules if name.startswith("_ktt_export")]


def test_the_same_model_gives_the_same_bytes(model, folder, tmp_path):
    again = exported(model, tmp_path / "again")
    for path in folder.rglob("*"):
        if path.is_file():
            assert (again / path.relative_to(folder)).read_bytes() == path.read_bytes(), path


def change(path, name, changed):
    graph = onnx.load(path)
    (tensor,) = [item for item in graph.graph.initializer if item.name == name]
    tensor.CopyFrom(numpy_helper.from_array(changed(numpy_helper.to_array(tensor).copy()), name))
    onnx.save(graph, path)


def test_other_weights_fail_the_check(model, copy):
    change(copy / "model.onnx", "weights", lambda weights: weights * np.float32(1.05))
    figures = model.onnx_parity(copy, TEXTS)
    assert not figures.passed
    assert figures.max_probability_difference > 1e-4


def test_weights_that_are_no_numbers_fail_the_check(model, copy):
    change(copy / "model.onnx", "bias", lambda bias: bias * np.float32("nan"))
    assert not model.onnx_parity(copy, TEXTS).passed


def test_another_temperature_fails_the_check(model, copy):
    model.temperature, before = model.temperature * 1.1, model.temperature
    try:
        assert not model.onnx_parity(copy, TEXTS).passed
    finally:
        model.temperature = before


def test_another_vocabulary_fails_the_check(model, copy):
    with np.load(copy / "vocabulary.npz") as file:
        arrays = dict(file)
    np.savez(copy / "vocabulary.npz", **{**arrays, "idf": arrays["idf"][::-1]})
    assert not model.onnx_parity(copy, TEXTS).passed


def test_code_that_no_export_wrote_is_not_run(model, copy, tmp_path):
    ran = tmp_path / "ran"
    module = copy / PACKAGE / "rows.py"
    module.write_text(module.read_text() + f"\nopen({str(ran)!r}, 'w').close()\n")
    with pytest.raises(DataError, match="rows.py is not what this version of KTT writes"):
        model.onnx_parity(copy, TEXTS)
    assert not ran.exists()


def test_files_beside_the_code_are_refused(model, copy):
    (copy / PACKAGE / "more.py").write_text("")
    with pytest.raises(DataError, match="more.py"):
        model.onnx_parity(copy, TEXTS)


@pytest.mark.parametrize(
    "name", ["model.onnx", "hierarchy.json", "vocabulary.npz", "vocabulary.json"]
)
@pytest.mark.parametrize("cut", [True, False])
def test_a_damaged_or_missing_file_is_named(name, cut, model, copy):
    content = (copy / name).read_bytes()
    (copy / name).unlink()
    if cut:
        (copy / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=str(copy)):
        model.onnx_parity(copy, TEXTS)


def test_missing_code_and_other_classes_are_refused(model, copy):
    hierarchy = json.loads((copy / "hierarchy.json").read_text())
    hierarchy["leaf_paths"][0] = ["Else"]
    (copy / "hierarchy.json").write_text(json.dumps(hierarchy))
    with pytest.raises(DataError, match="other classes"):
        model.onnx_parity(copy, TEXTS)
    (copy / PACKAGE / "ngrams.py").unlink()
    with pytest.raises(DataError, match="ngrams.py is missing"):
        model.onnx_parity(copy, TEXTS)


def test_an_export_is_not_trusted_unseen(model, folder):
    with pytest.raises(DataError, match="there are none"):
        model.onnx_parity(folder, [])
    with pytest.raises(InvalidArgumentError, match="text 2 is not valid Unicode"):
        model.onnx_parity(folder, ["a", "\ud800"])


def test_a_model_that_is_not_trained_exports_nothing(tmp_path):
    model_class = get_model("tfidf_hsgd")
    model = model_class(
        Taxonomy.from_paths(RAGGED), build_config(model_class.config_class, "tfidf_hsgd", {})
    )
    with pytest.raises(UnsupportedError, match="not trained"):
        model.export_onnx(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_model_on_another_solver_says_what_it_lacks(model, tmp_path, monkeypatch):
    other_class = type("Other", (type(model),), {"model_id": "other", "export_formats": ()})
    other = other_class(model.taxonomy, model.config)
    with pytest.raises(UnsupportedError, match="other does not export onnx"):
        other.export_onnx(tmp_path)
    with pytest.raises(UnsupportedError, match="other does not export onnx"):
        other.onnx_parity(tmp_path, TEXTS)
    monkeypatch.setattr(other_class, "export_formats", ("onnx",))
    other._vectorizer, other._solver = model.vectorizer, Mean()
    with pytest.raises(UnsupportedError, match="needs an export_onnx of its own"):
        other.export_onnx(tmp_path)
    assert not list(tmp_path.iterdir())


class Mean:
    def state_dict(self):
        return {"mean": np.zeros(3)}, {}
