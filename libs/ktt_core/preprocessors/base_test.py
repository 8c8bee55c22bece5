"""What all preprocessors promise."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest

from ktt_core.errors import ConflictError, InvalidArgumentError
from ktt_core.preprocessors import (
    BasePreprocessor,
    SnowballStemmerPreprocessor,
    preprocessor_from_json,
)


def test_texts_pass_unchanged():
    assert BasePreprocessor()(["A  b", ""]) == {"text": ["A  b", ""]}
    assert BasePreprocessor()([]) == {"text": []}
    column: Any = np.array(["x", "y"])
    assert BasePreprocessor()(column) == {"text": ["x", "y"]}


@pytest.mark.parametrize(
    "texts", ["one text", b"bytes", None, 7, [None], [1.5], ["a", float("nan")]]
)
@pytest.mark.parametrize("preprocessor", [BasePreprocessor(), SnowballStemmerPreprocessor()])
def test_inputs_other_than_batches_of_texts_are_refused(preprocessor, texts):
    with pytest.raises(InvalidArgumentError):
        preprocessor(texts)


@pytest.mark.parametrize(
    "preprocessor",
    [BasePreprocessor(), SnowballStemmerPreprocessor("german", stem=False, remove_stop_words=True)],
)
def test_state_survives_json_and_pickling(preprocessor):
    state = json.loads(json.dumps(preprocessor.to_json()))
    texts = ["Die Häuser der Straße"]
    for copy in (preprocessor_from_json(state), pickle.loads(pickle.dumps(preprocessor))):
        assert type(copy) is type(preprocessor)
        assert copy == preprocessor
        assert copy(texts) == preprocessor(texts)


@pytest.mark.parametrize(
    "state",
    [
        None,
        [],
        {},
        {"kind": "no such"},
        {"kind": ["text"]},
        {"kind": "text", "extra": 1},
        {"kind": "snowball", "language": "klingon"},
        {"kind": "snowball", "language": 7},
        {"kind": "snowball", "stem": "yes"},
        {"kind": "os.system"},
    ],
)
def test_a_foreign_state_is_refused(state):
    with pytest.raises(InvalidArgumentError):
        preprocessor_from_json(state)


def test_a_preprocessor_defined_elsewhere_is_found_by_its_kind():
    class Shout(BasePreprocessor):
        kind = "test-shout"

        def __call__(self, texts):
            return {"text": [text.upper() for text in texts]}

    assert preprocessor_from_json({"kind": "test-shout"})(["a"]) == {"text": ["A"]}


def test_two_classes_of_one_kind_are_a_conflict():
    with pytest.raises(ConflictError, match="snowball"):

        class Impostor(BasePreprocessor):
            kind = "snowball"
