"""The registry: listing imports nothing, and one broken package stops no other."""

from __future__ import annotations

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from ktt_core import registry
from ktt_core.config import ModelConfig
from ktt_core.errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    UnsupportedError,
)
from ktt_core.model import Model
from ktt_core.registry import get_config_class, get_model, list_models, register


@pytest.fixture(autouse=True)
def empty_registry(monkeypatch):
    """Give every test a registry of its own, with nothing left to discover."""
    monkeypatch.setattr(registry, "_entries", {})
    monkeypatch.setattr(registry, "_broken", {})
    monkeypatch.setattr(registry, "_discovered", True)


def classifier(base=Model, **members):
    made = type("Classifier", (base,), {"config_class": ModelConfig, **members})
    # What a true one writes does not matter here.
    made.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]
    return made


def add(model_id, framework="sklearn", load=classifier, config=""):
    def load_class():
        return load()

    return register(model_id, display_name=model_id.title(), framework=framework, config=config)(
        load_class
    )


def test_models_are_listed_by_id_and_framework():
    add("b_model")
    add("a_model", "pytorch")
    assert [entry.id for entry in list_models()] == ["a_model", "b_model"]
    assert [entry.id for entry in list_models("sklearn")] == ["b_model"]
    assert list_models()[0].display_name == "A_Model"


def test_listing_loads_no_model():
    def load():
        raise AssertionError("loaded")

    add("heavy", load=load)
    assert len(list_models()) == 1


def test_a_model_is_loaded_once_asked_for_and_knows_its_id():
    model = classifier()
    add("mine", load=lambda: model)
    assert get_model("mine") is model
    assert get_model("mine").model_id == "mine"


def test_an_unknown_model_is_an_error_that_lists_the_known():
    add("mine")
    with pytest.raises(NotFoundError, match="'other'.*mine"):
        get_model("other")


@pytest.mark.parametrize("name", ["../x", "", "a b", "CON", "x" * 64])
def test_a_name_is_checked_before_anything_else(name):
    with pytest.raises(InvalidArgumentError):
        get_model(name)
    with pytest.raises(InvalidArgumentError):
        add(name)


def test_two_packages_cannot_share_an_id():
    add("mine")

    def load():
        return classifier()

    load.__module__ = "another.package"
    with pytest.raises(ConflictError, match="another.package"):
        register("mine", display_name="Mine", framework="sklearn")(load)


def test_a_module_may_be_loaded_again():
    add("mine")
    add("mine")
    assert len(list_models()) == 1


def test_one_class_cannot_be_two_models():
    model = classifier()
    add("one", load=lambda: model)
    add("two", load=lambda: model)
    get_model("one")
    with pytest.raises(ConflictError, match="registered twice"):
        get_model("two")
    assert vars(model)["model_id"] == "one"


def test_a_subclass_of_a_model_is_a_model_of_its_own():
    base = classifier()
    add("one", load=lambda: base)
    add("two", load=lambda: classifier(base))
    assert get_model("one").model_id == "one"
    assert get_model("two").model_id == "two"


def test_a_missing_package_is_named():
    def load():
        return importlib.import_module("no_such_framework_at_all").Model

    add("mine", load=load)
    with pytest.raises(UnsupportedError, match="no_such_framework_at_all"):
        get_model("mine")


@pytest.mark.parametrize("name", ["all", "ALL"])
def test_no_model_takes_the_name_of_all(name):
    with pytest.raises(InvalidArgumentError, match="stands for all"):
        add(name)


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (lambda: compile("def load(:", "own.py", "exec"), "loaded: SyntaxError: .*own.py, line 1"),
        (lambda: fail(RuntimeError("out of order")), "loaded: RuntimeError: out of order"),
        (lambda: fail(SystemExit(3)), "loaded: SystemExit: 3"),
        (lambda: None, "its loader returns None, which is no class derived from"),
        (lambda: object, "its loader returns <class 'object'>, which is no class"),
        (lambda: classifier()(None, None), "which is no class derived from"),
        (lambda: type("Half", (Model,), {"fit": None}), "used: Half lacks from_checkpoint, "),
        (
            lambda: classifier(__init__=lambda self: None),
            r"takes other arguments than \(taxonomy, config\): too many positional arguments",
        ),
        (
            lambda: classifier(__init__=lambda self, taxonomy, config, more: None),
            "takes other arguments .*missing a required argument: 'more'",
        ),
        (lambda: classifier(config_class=None), "its config_class is None"),
        (lambda: classifier(config_class=dict), "its config_class is <class 'dict'>"),
    ],
)
def test_what_cannot_be_used_as_a_model_is_the_models_own_error(load, why):
    add("mine", load=load)
    for ask in (get_model, get_config_class):
        with pytest.raises(UnsupportedError, match=f"the model 'mine' cannot be .*{why}"):
            ask("mine")


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ("ktt_core.names:Missing", "loaded: AttributeError"),
        ("ktt_core.names:check_name", "config_class is <function"),
        ("nowhere:Config", "needs the package 'nowhere'"),
    ],
)
def test_so_is_a_class_of_hyperparameters_that_is_none(config, why):
    add("mine", config=config)
    with pytest.raises(UnsupportedError, match=f"the model 'mine' .*{why}"):
        get_config_class("mine")


@pytest.fixture
def outside_packages(tmp_path, monkeypatch):
    """Offer two packages under the entry-point group: a good one and one that fails to import."""
    (tmp_path / "good_outside.py").write_text(
        "from ktt_core.registry import register\n"
        "@register('outside', display_name='Outside', framework='other')\n"
        "def load():\n"
        "    return type('Outside', (), {})\n"
    )
    (tmp_path / "bad_outside.py").write_text("raise RuntimeError('out of order')\n")
    (tmp_path / "gone_outside.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "idle_outside.py").write_text("def load(): ...\n")
    points = [
        importlib.metadata.EntryPoint(name, f"{name}_outside", registry.ENTRY_POINT_GROUP)
        for name in ("bad", "gone", "good", "idle")
    ]
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    monkeypatch.setattr(registry, "_BUNDLED", "no_bundled_models")
    monkeypatch.setattr(registry, "_discovered", False)
    yield
    for name in ("good_outside", "bad_outside", "gone_outside", "idle_outside"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("outside_packages")
def test_a_broken_package_is_reported_and_stops_no_other():
    with (
        pytest.warns(UserWarning, match="'bad'.*out of order"),
        pytest.warns(UserWarning, match="'gone'.*SystemExit: 3"),
        pytest.warns(UserWarning, match="'idle'.*registers no model"),
    ):
        assert [entry.id for entry in list_models()] == ["outside"]
    with pytest.raises(NotFoundError, match="outside; 'bad' failed to load: .*out of order"):
        get_model("bad")


def test_listing_imports_no_framework():
    libs = Path(registry.__file__).parents[1]
    heavy = ("torch", "sklearn", "transformers", "numba", "pyarrow")
    program = (
        "import sys\n"
        "from ktt_core.registry import list_models\n"
        "list_models()\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join([str(libs), *filter(None, sys.path)])},
    )
    assert result.stdout.strip() == "[]"
