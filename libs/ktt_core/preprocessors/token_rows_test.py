"""The inputs of an exported encoder's graph equal those of training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from ktt_core.errors import CheckpointError, InvalidArgumentError
from ktt_core.preprocessors import TransformerPreprocessor
from ktt_core.preprocessors.token_rows import TokenRows

WORDS = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "red", "blue", "shoes"]
MAX_LENGTH = 6


@pytest.fixture()
def folder(tmp_path):
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 2)]
    )
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.enable_padding(pad_id=1, pad_token="[PAD]")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_texts_become_rows_padded_to_the_longest(folder):
    inputs = TokenRows(folder)(["red shoes", "", "blue"])
    assert inputs["input_ids"].tolist() == [[0, 4, 6, 2], [0, 2, 1, 1], [0, 5, 2, 1]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]]
    assert {array.dtype for array in inputs.values()} == {np.dtype(np.int64)}


def test_texts_are_normalised_and_truncated_as_in_training(folder):
    training = TransformerPreprocessor(folder, MAX_LENGTH)
    found = TokenRows(folder)(["  red\tshoes\x00\n", "blue " * 20_000])
    expected = training(["red shoes", "blue " * 20_000])
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    assert found["input_ids"].shape == (2, MAX_LENGTH)


def test_the_tokenizers_library_by_itself_gives_the_same_ids(folder):
    texts = ["red shoes", "", "blue " * 50]
    alone = Tokenizer.from_file(str(folder / "tokenizer.json")).encode_batch(texts)
    assert [row.ids for row in alone] == TokenRows(folder)(texts)["input_ids"].tolist()


def test_no_texts_have_no_rows(folder):
    assert TokenRows(folder)([])["input_ids"].shape == (0, 1)


def test_one_text_and_invalid_unicode_are_refused(folder):
    rows = TokenRows(folder)
    with pytest.raises(InvalidArgumentError, match="wrap it in a list"):
        rows("red shoes")
    with pytest.raises(InvalidArgumentError, match="text 2 is not valid Unicode"):
        rows(["red", "\ud800"])


@pytest.mark.parametrize("damage", ["missing", "cut", "no truncation", "no tokenizer"])
def test_a_damaged_file_is_named(damage, folder):
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    if damage == "missing":
        file.unlink()
    elif damage == "cut":
        file.write_text(file.read_text()[:200])
    elif damage == "no truncation":
        file.write_text(json.dumps({**content, "truncation": None}))
    else:
        file.write_text(json.dumps({"truncation": {"max_length": 6}}))
    with pytest.raises(CheckpointError, match="tokenizer.json"):
        TokenRows(folder)
