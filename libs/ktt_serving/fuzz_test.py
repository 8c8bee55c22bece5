"""A bundle's files and the bodies of requests are used, or refused, whatever their bytes are."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given

from fuzz.damage import (
    Change,
    Edit,
    Nested,
    changed,
    changes,
    edited,
    edits,
    fuzzed,
    json_bytes,
    survives,
)
from ktt_core.errors import CheckpointError
from ktt_serving.reading import RequestError, read_question
from ktt_serving.scoring import load_scorer
from ktt_serving.serving_fixtures import write_onnx_artifacts, write_tfidf_artifacts

DEEP = (Change("replace", 0, Nested(100_000)),)
BODY = {"texts": ["some text", "another"], "top_k": 3, "min_confidence": 0.5}


@fuzzed(100)
@given(edits())
def test_the_bytes_of_a_body(damage):
    body = edited(json.dumps(BODY).encode(), damage)
    survives(lambda: read_question(body, options=True), RequestError)


@fuzzed(100)
@given(changes())
@example(DEEP)
def test_the_values_of_a_body(damage):
    body = json_bytes(changed(BODY, damage))
    survives(lambda: read_question(body, options=True), RequestError)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("artifacts")
    return {
        "tfidf": write_tfidf_artifacts(folder / "tfidf"),
        "onnx": write_onnx_artifacts(folder / "onnx"),
    }


def answer(folder: Path) -> None:
    scorer = load_scorer(folder)
    scores = scorer(["running shoes", "a novel", "?"])
    assert scores.log_proba.shape == (3, scorer.taxonomy.n_leaves)


def use(path: Path, damage: Callable[[bytes], bytes]) -> None:
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    try:
        survives(lambda: answer(path.parent), CheckpointError, folder=path.parent)
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "name",
    [
        "tfidf/hierarchy.json",
        "tfidf/model.json",
        "tfidf/weights.json",
        "tfidf/vocabulary.json",
        "onnx/hierarchy.json",
        "onnx/model.json",
    ],
)
@fuzzed(40)
@given(changes())
@example(DEEP)
@example((Change("replace", 3, 10**400),))
@example((Change("replace", 244, False),))
def test_the_values_of_a_file(folders, name, damage):
    kind, _, file = name.partition("/")
    use(folders[kind] / file, lambda whole: json_bytes(changed(json.loads(whole), damage)))


@fuzzed(60)
@given(changes(1))
@example(DEEP)
@example((Change("replace", 559, 2**31),))
@example((Change("replace", 1139, 2**31 - 1),))
@example((Change("replace", 559, 2**31 - 1),))
@example((Change("replace", 415, ""),))
def test_the_values_of_a_tokenizer(folders, damage):
    path = folders["onnx"] / "tokenizer.json"
    use(path, lambda whole: json_bytes(changed(json.loads(whole), damage)))


@pytest.mark.parametrize("name", ["weights.npz", "vocabulary.npz"])
@fuzzed(60)
@given(edits())
def test_the_bytes_of_arrays(folders, name, damage):
    use(folders["tfidf"] / name, lambda whole: edited(whole, damage))


def with_checksum(archive: bytes, number: int, damage: tuple[Edit, ...]) -> bytes:
    """Return an archive in which one array's file is damaged, and the archive itself is whole."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(written, "w") as new:
        names = old.namelist()
        for place, name in enumerate(names):
            content = old.read(name)
            new.writestr(name, edited(content, damage) if place == number % len(names) else content)
    return written.getvalue()


@pytest.mark.parametrize("name", ["weights.npz", "vocabulary.npz"])
@pytest.mark.parametrize("number", range(4))
@fuzzed(40)
@given(edits())
@example((Edit("put", 0.0, b"\x93NUMPY\x01\x00\xff\xff"),))
def test_the_bytes_of_one_array(folders, name, number, damage):
    use(folders["tfidf"] / name, lambda whole: with_checksum(whole, number, damage))


def test_pickled_arrays_are_not_read(folders):
    written = io.BytesIO()
    np.savez(written, weights=np.array([{}], dtype=object))
    use(folders["tfidf"] / "weights.npz", lambda whole: written.getvalue())


@pytest.mark.parametrize("shape", ["(4611686018427387904,)", "(2147483647, 2147483647)", "(-1,)"])
def test_the_shape_of_an_array_is_not_believed(folders, shape):
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    array = b"\x93NUMPY\x01\x00\x76\x00" + text.encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in ("weights", "bias", "feature_start", "pair_node"):
            archive.writestr(f"{name}.npy", array)
    use(folders["tfidf"] / "weights.npz", lambda whole: written.getvalue())


@pytest.mark.parametrize("temperature", [0.0, -1, 1e-300, 1e300, float("nan"), "1", True, None])
def test_a_temperature_that_no_answer_can_have_is_refused(folders, temperature):
    path = folders["tfidf"] / "model.json"
    whole = path.read_bytes()
    path.write_text(json.dumps({**json.loads(whole), "temperature": temperature}))
    try:
        with pytest.raises(CheckpointError, match="temperature"):
            load_scorer(path.parent)
    finally:
        path.write_bytes(whole)


def test_the_padding_of_a_tokenizer_is_not_read(folders):
    def damage(whole: bytes) -> bytes:
        value = json.loads(whole)
        # Rust would end the process for want of memory.
        value["padding"]["pad_to_multiple_of"] = 2**40
        return json_bytes(value)

    use(folders["onnx"] / "tokenizer.json", damage)


def test_a_tokenizer_that_would_panic_at_every_text_is_refused(folders):
    path = folders["onnx"] / "tokenizer.json"
    whole = path.read_bytes()
    damaged = json.loads(whole)
    damaged["post_processor"]["special_tokens"] = {}
    path.write_text(json.dumps(damaged))
    try:
        with pytest.raises(CheckpointError, match="tokenizer"):
            load_scorer(path.parent)
    finally:
        path.write_bytes(whole)
