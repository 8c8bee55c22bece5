"""An error of a model from outside is its own, and one of ours is not."""

from __future__ import annotations

import importlib
import sys

import pytest

from ktt_core import registry
from ktt_core.decoding import decode
from ktt_core.errors import DataError, UnsupportedError
from ktt_core.model_code import blaming_models

SOURCE = """
import json
from ktt_core.errors import DataError
from ktt_core.registry import register

@register("outside", display_name="Outside", framework="other")
def load():
    pass

def own():
    raise ValueError("oh")

def library():
    json.loads("{")

def user():
    raise DataError("these rows cannot be used")

def through(function, *arguments):
    function(*arguments)
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_entries", {})
    (tmp_path / "ktt_outside_code.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("ktt_outside_code")
    del sys.modules["ktt_outside_code"]


@pytest.mark.parametrize(
    ("name", "told"),
    [("own", "line 11, in own.: ValueError: oh"), ("library", "line 14, in library.: JSONDecode")],
)
@pytest.mark.parametrize("logged", [True, False])
def test_what_its_code_raises_is_the_models(outside, name, told, logged, caplog):
    message = f"the model 'outside' failed .ktt_outside_code.py, {told}"
    with pytest.raises(UnsupportedError, match=message), blaming_models(logged=logged):
        getattr(outside, name)()
    assert ("Traceback" in caplog.text) == logged


def test_what_it_says_of_the_users_doing_is_left_alone(outside):
    with pytest.raises(DataError, match="^these rows"), blaming_models():
        outside.user()


def test_what_our_code_raises_where_it_calls_it_is_ours(outside):
    with pytest.raises(AttributeError), blaming_models():
        outside.through(decode, [[[0.0]]], None)


def test_an_error_elsewhere_is_nobodys(outside):
    with pytest.raises(ZeroDivisionError), blaming_models():
        _ = 1 / 0
