"""Checkpoints, forged ones too: what has the right checksum is refused, or loaded and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.damage import (
    Change,
    Nested,
    changed,
    changes,
    edited,
    edits,
    fuzzed,
    json_bytes,
    survives,
)
from ktt_core.checkpoints import format as checkpoint_format
from ktt_core.checkpoints.format import read_arrays, read_metadata, write_arrays
from ktt_core.config import build_config
from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import KttError
from ktt_core.model import Batch
from ktt_core.registry import get_model
from ktt_core.taxonomy import Taxonomy
from ktt_models.sklearn import stored

TAXONOMY = Taxonomy.from_paths([("a", "b"), ("a", "c"), ("d", "e"), ("d", "f"), ("g",)])
TEXTS = [
    f"{word} {number}" for number in range(8) for word in ("run", "ball", "drum", "bow", "ink")
]
ASKED = ["run ball", "a drum", ""] * 7


class Rows:
    """A loader of few rows."""

    n_rows = len(TEXTS)

    def __iter__(self) -> Iterator[Batch]:
        yield Batch({"text": TEXTS}, np.tile(TAXONOMY.leaf_codes, (8, 1)))


@pytest.fixture(scope="module", params=["tfidf_lsgd", "tfidf_hsgd"])
def checkpoint(request, tmp_path_factory) -> Path:
    model_class = get_model(request.param)
    values = {"n_jobs": 1, "epochs": 2, "char_ngrams": [3, 3], "char_min_df": 1}
    model = model_class(TAXONOMY, build_config(model_class.config_class, request.param, values))
    path = tmp_path_factory.mktemp(request.param) / "whole.safetensors"
    model.fit(Rows(), Rows(), best_path=path)
    return path


@pytest.fixture
def compiled(monkeypatch):
    """Answer with the compiled loops, which check no bounds, from the first row on."""
    monkeypatch.setattr(stored, "_ROWS_BEFORE_COMPILING", 0)


@dataclass(frozen=True)
class ArrayChange:
    """A change of one of a checkpoint's arrays, which `number` chooses."""

    kind: str
    number: int
    place: float
    value: float | int

    def __call__(self, arrays: dict[str, Any]) -> dict[str, Any]:
        name = sorted(arrays)[self.number % len(arrays)]
        array = np.array(arrays[name])
        at = min(int(self.place * array.size), max(array.size - 1, 0))
        if self.kind == "set":
            if array.size:
                # Whole numbers wrap, as a file's bytes would be read.
                with np.errstate(all="ignore"):
                    array.reshape(-1)[at] = np.array(self.value).astype(array.dtype)
        elif self.kind == "fill":
            with np.errstate(all="ignore"):
                array[...] = np.array(self.value).astype(array.dtype)
        elif self.kind == "type":
            kinds = ["|u1", "<i4", "<i8", "<u8", "<f4", "<f8", "|b1", "<f2"]
            with np.errstate(all="ignore"):
                array = array.astype(kinds[at % len(kinds)])
        else:
            array = {
                "cut": lambda: array[:at],
                "repeat": lambda: np.concatenate([array, array[at:]]),
                "wide": lambda: array[:, None],
                "flat": lambda: array.reshape(-1),
                "none": lambda: array[:0],
                "one": lambda: array.reshape(-1)[:1].reshape(()) if array.size else array,
                "turn": lambda: array[::-1],
                "two": lambda: array[: len(array) // 2 * 2].reshape(2, -1),
            }[self.kind]()
        return {**arrays, name: array}


KINDS = ("set", "set", "set", "fill", "type", "cut", "repeat", "wide", "none", "one", "turn", "two")
VALUES = [-1, 0, 1, 2, 255, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 0.5, float("nan"), -1e30]
ARRAY_CHANGES = st.lists(
    st.builds(
        ArrayChange,
        st.sampled_from(KINDS),
        st.integers(0, 50),
        st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
        st.sampled_from(VALUES),
    ),
    min_size=1,
    max_size=2,
)


def answer(path: Path) -> None:
    """Load a checkpoint, and ask it for much, as one that is whole."""
    model = get_model(path.parent.name[: len("tfidf_lsgd")]).from_checkpoint(path)
    levels = model.level_scores(model.preprocessor(ASKED))
    found = np.exp(leaf_log_proba(levels, model.taxonomy, model.temperature))
    assert found.shape == (len(ASKED), model.taxonomy.n_leaves)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-3)


@fuzzed(40)
@given(edits())
def test_damaged_bytes_are_refused(checkpoint, damage):
    content = checkpoint.read_bytes()
    path = checkpoint.with_name("damaged.safetensors")
    path.write_bytes(edited(content, damage))
    survives(lambda: read_arrays(path, "tfidf_lsgd"), KttError, folder=path.parent)
    survives(lambda: read_metadata(path), KttError, folder=path.parent)


@fuzzed(40)
@given(changes())
def test_a_strange_header_is_refused(checkpoint, damage):
    content = checkpoint.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = json_bytes(changed(json.loads(content[8:end]), damage))
    path = checkpoint.with_name("damaged.safetensors")
    path.write_bytes(len(header).to_bytes(8, "little") + header + content[end:])
    survives(lambda: read_arrays(path, "tfidf_lsgd"), KttError, folder=path.parent)
    survives(lambda: read_metadata(path), KttError, folder=path.parent)


def forge(path: Path, metadata: Any, arrays: dict[str, Any]) -> None:
    """Write a checkpoint with the right checksum, whatever is in it."""
    text = json_bytes(metadata).decode()

    class Dumps:
        @staticmethod
        def dumps(value: Any, **options: Any) -> str:
            return text if "model" in value else json.dumps(value, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_format, "json", Dumps)
        write_arrays(path, {"model": ""}, arrays)


@fuzzed(100)
@given(ARRAY_CHANGES)
@example([ArrayChange("set", 6, 0.0, 2**63 - 1)])
@example([ArrayChange("wide", 38, 0.0, 0)])
def test_forged_arrays_are_refused_or_answer(checkpoint, compiled, damage):
    metadata, arrays = read_arrays(checkpoint, checkpoint.parent.name[:10])
    for change in damage:
        try:
            arrays = change(arrays)
        except (IndexError, TypeError, ValueError):
            return  # there is no such change of an array of this shape
    path = checkpoint.with_name("damaged.safetensors")
    forge(path, metadata, arrays)
    survives(lambda: answer(path), KttError, folder=path.parent)


@fuzzed(100)
@given(changes())
@example((Change("add", 3, Nested(930)),))
def test_forged_metadata_is_refused_or_answers(checkpoint, damage):
    metadata, arrays = read_arrays(checkpoint, checkpoint.parent.name[:10])
    value = changed(metadata, damage)
    path = checkpoint.with_name("damaged.safetensors")
    forge(path, value, arrays)
    survives(lambda: answer(path), KttError, folder=path.parent)
