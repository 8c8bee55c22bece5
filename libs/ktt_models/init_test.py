"""Models are found by name, and looking at their names imports none of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ktt_models
from ktt_core.registry import get_config_class, get_model, list_models

LISTING = """
import sys
from pathlib import Path
import ktt_models
from ktt_core.registry import get_config_class, get_model, list_models

def bundled(ids):
    # A package outside may bring models of its own.
    return [id for id in ids if (Path(ktt_models.__file__).parent / id).is_dir()]

ENCODER_MODELS = ["db_achmcnn", "db_ahmcnf", "db_bhcn", "db_bhcn_awx", "db_linear"]
TFIDF_MODELS = ["tfidf_hsgd", "tfidf_lsgd"]
assert bundled(ktt_models.MODEL_LIST) == ENCODER_MODELS + TFIDF_MODELS, ktt_models.MODEL_LIST
assert bundled(ktt_models.SKLEARN_MODEL_LIST) == TFIDF_MODELS
assert bundled(ktt_models.PYTORCH_MODEL_LIST) == ENCODER_MODELS
dir(ktt_models)
heavy = {"numpy", "scipy", "sklearn", "numba", "torch", "pyarrow"} & sys.modules.keys()
assert not heavy, heavy
from ktt_models import TFIDF_HSGD
heavy = {"sklearn", "numba", "torch", "pyarrow"} & sys.modules.keys()
assert not heavy, heavy
print(TFIDF_HSGD.model_id)
"""


def test_listing_models_and_importing_a_class_is_light() -> None:
    bootstrap = f"import sys; sys.path[:] = {sys.path!r}\n{LISTING}"
    done = subprocess.run([sys.executable, "-c", bootstrap], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "tfidf_hsgd\n"), done.stderr


def test_a_class_is_an_attribute_by_its_id_in_capitals() -> None:
    from ktt_models import TFIDF_LSGD

    assert TFIDF_LSGD.model_id == "tfidf_lsgd"
    assert "TFIDF_LSGD" in dir(ktt_models) and "MODEL_LIST" in dir(ktt_models)


@pytest.mark.parametrize("name", ["TFIDF_NONE", "tfidf_none", "__wrapped__"])
def test_other_attributes_do_not_exist(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(ktt_models, name)


def test_the_hyperparameters_that_are_checked_early_are_the_models() -> None:
    for entry in list_models():
        assert get_config_class(entry.id) is get_model(entry.id).config_class, entry.id
