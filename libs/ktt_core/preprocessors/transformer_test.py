"""Token ids, with a word-piece tokenizer built by the tests."""

from __future__ import annotations

import json
import pickle
import time

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import trainers
from tokenizers.models import BPE, Unigram, WordPiece
from tokenizers.normalizers import NFC, NFKC, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer, ByteLevel, Metaspace
from tokenizers.processors import TemplateProcessing

from ktt_core.errors import InvalidArgumentError, NotFoundError, UnsupportedError
from ktt_core.preprocessors import (
    BasePreprocessor,
    TransformerPreprocessor,
    preprocessor_from_json,
)

WORDS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "red", "run", "##ning", "shoe", "##s"]
UNK, CLS, SEP, PAD, RED, RUN, NING, SHOE, S = range(len(WORDS))


def make_tokenizer(special: bool = True) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(
        WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    if special:
        tokenizer.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
        )
    return tokenizer


@pytest.fixture
def folder(tmp_path):
    make_tokenizer().save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_a_batch_is_padded_to_its_longest_text(folder):
    inputs = TransformerPreprocessor(folder, 16)(["Red", "running shoes", ""])
    assert inputs["input_ids"].tolist() == [
        [CLS, RED, SEP, PAD, PAD, PAD],
        [CLS, RUN, NING, SHOE, S, SEP],
        [CLS, SEP, PAD, PAD, PAD, PAD],
    ]
    assert inputs["attention_mask"].tolist() == [
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 1],
        [1, 1, 0, 0, 0, 0],
    ]
    assert {array.dtype for array in inputs.values()} == {np.dtype(np.int64)}


def test_a_long_text_is_cut_and_keeps_its_special_tokens(folder):
    inputs = TransformerPreprocessor(folder / "tokenizer.json", 5)(["red " * 100])
    assert inputs["input_ids"].tolist() == [[CLS, RED, RED, RED, SEP]]


@pytest.mark.parametrize(
    "text",
    [
        "red shoes " * 10_000,
        "red" * 33_000,
        "red shoes " + "running" * 15_000 + " red",
        " " * 99_990 + "red shoes ",
        "red " + " " * 50_000 + "shoes" + " " * 50_000 + "running",
        "red\x1cshoes" * 2_000,
        "東京" * 3_000,
        "red \ud800 " * 15_000,
    ],
)
@pytest.mark.parametrize("max_length", [5, 64])
def test_the_beginning_of_a_long_text_has_the_ids_of_the_whole_text(folder, text, max_length):
    preprocessor = TransformerPreprocessor(folder, max_length)
    whole = make_tokenizer()
    whole.enable_truncation(max_length)
    expected = whole.encode(text.encode("utf-8", "replace").decode()).ids
    assert preprocessor(["red", text, ""])["input_ids"][1].tolist()[: len(expected)] == expected
    seen = []
    encode = preprocessor._encode

    def watch(texts):
        seen.append(max(map(len, texts)))
        return encode(texts)

    preprocessor._encode = watch
    preprocessor([text])
    if text.startswith("red shoes red"):
        assert seen == [pytest.approx(16 * max_length, abs=10)]


@pytest.fixture(scope="module", params=["wordpiece", "bpe", "unigram"])
def learned(request, tmp_path_factory):
    """A folder with a tokenizer of each common kind, with its usual steps before."""
    model, trainer, normalizer, pre_tokenizer = {
        "wordpiece": (
            WordPiece(unk_token="[UNK]"),
            trainers.WordPieceTrainer(special_tokens=["[UNK]"], show_progress=False),
            BertNormalizer(lowercase=True),
            BertPreTokenizer(),
        ),
        "bpe": (
            BPE(),
            trainers.BpeTrainer(initial_alphabet=ByteLevel.alphabet(), show_progress=False),
            NFC(),
            ByteLevel(add_prefix_space=True),
        ),
        "unigram": (
            Unigram(),
            trainers.UnigramTrainer(unk_token="<unk>", show_progress=False),
            NFKC(),
            Metaspace(),
        ),
    }[request.param]
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    words = ["red", "running", "shoes,", "shoe", "a-b", "東京", "can't", "x1", "..", "é", "aaa"]
    tokenizer.train_from_iterator([" ".join(words[n:] + words[:n]) for n in range(11)], trainer)
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


# Of these texts are made that are far longer than what is read of them first.
_PARTS = st.sampled_from(
    [
        "red",
        "running",
        " ",
        "  ",
        ",",
        "東京",
        "東",
        "can't",
        "'",
        "x1",
        "..",
        "e\u0301",
        "\u0301",
        "a",
    ]
    + [
        "-",
        "\u200b",
        "\u00ad",
        "\x00",
        "\n",
        "\u3000",
        "ﬁ",
        "ß",
        "İ",
        "👩\u200d🚀",
        "क्षि",
        "\u202e",
        "[UNK]",
    ]
)


@settings(deadline=None, max_examples=150)
@given(
    parts=st.lists(
        st.tuples(st.lists(_PARTS, min_size=1, max_size=4), st.integers(1, 400)), max_size=6
    ),
    max_length=st.integers(1, 6),
)
def test_no_text_has_other_ids_because_only_its_beginning_is_read(learned, parts, max_length):
    text = "".join("".join(part) * times for part, times in parts)
    preprocessor = TransformerPreprocessor(learned, max_length)
    values, _, cut = preprocessor.counted_ids([text])
    whole = tokenizers.Tokenizer.from_file(str(learned / "tokenizer.json")).encode(text).ids
    assert values.tolist() == whole[:max_length]
    assert (cut[0] > 0) == (len(whole) > max_length)


def test_of_a_text_without_spaces_only_the_beginning_is_read(folder):
    preprocessor = TransformerPreprocessor(folder, 64)
    started = time.process_time()
    for text in ("東京" * 160_000, "," * 960_000, ",".join(["shoes"] * 160_000)):
        assert preprocessor.counted_ids([text])[1].tolist() == [64]
    assert time.process_time() - started < 0.2


def test_a_tokenizer_that_truncates_on_the_left_reads_the_end(tmp_path):
    tokenizer = make_tokenizer()
    tokenizer.enable_truncation(3, direction="left")
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    inputs = TransformerPreprocessor(tmp_path, 4)(["red " * 30_000 + "running shoes"])
    assert inputs["input_ids"].tolist() == [[CLS, SHOE, S, SEP]]


def test_ids_without_padding_are_those_of_the_batch(folder):
    preprocessor = TransformerPreprocessor(folder, 5)
    texts = ["Red", "running shoes red red", ""]
    values, lengths = preprocessor.token_ids(texts)
    assert lengths.tolist() == [3, 5, 2]
    batch = preprocessor(texts)
    assert values.tolist() == batch["input_ids"][batch["attention_mask"] == 1].tolist()
    assert preprocessor.highest_id == len(WORDS) - 1


def test_no_texts_and_texts_without_ids_have_a_column(tmp_path):
    make_tokenizer(special=False).save(str(tmp_path / "tokenizer.json"))
    preprocessor = TransformerPreprocessor(tmp_path, 4)
    assert preprocessor([])["input_ids"].shape == (0, 1)
    empty = preprocessor(["", ""])
    assert empty["input_ids"].tolist() == [[PAD], [PAD]]
    assert empty["attention_mask"].tolist() == [[0], [0]]


def test_any_unicode_text_is_accepted(folder):
    inputs = TransformerPreprocessor(folder, 16)(["😀 東京 \ud800 red", "\x00"])
    assert inputs["input_ids"][0, 0] == CLS
    assert RED in inputs["input_ids"][0]


def test_truncation_and_padding_saved_in_the_tokenizer_have_no_effect(tmp_path):
    tokenizer = make_tokenizer()
    tokenizer.enable_padding(length=12, pad_id=PAD, pad_token="[PAD]")
    tokenizer.enable_truncation(3)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    inputs = TransformerPreprocessor(tmp_path, 8)(["red red red"])
    assert inputs["input_ids"].tolist() == [[CLS, RED, RED, RED, SEP]]


def test_the_padding_token_of_the_tokenizers_config_is_used(folder):
    config = {"pad_token": {"content": "[UNK]", "lstrip": False}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    preprocessor = TransformerPreprocessor(folder, 8)
    assert preprocessor.pad_id == UNK
    copy = preprocessor_from_json(preprocessor.to_json())
    assert isinstance(copy, TransformerPreprocessor)
    assert copy.pad_id == UNK


def test_state_needs_no_other_file(folder):
    preprocessor = TransformerPreprocessor(folder, 6)
    state = json.dumps(preprocessor.to_json())
    (folder / "tokenizer.json").unlink()
    texts = ["running red shoes", "red"]
    expected = preprocessor(texts)["input_ids"].tolist()
    for copy in (
        preprocessor_from_json(json.loads(state)),
        pickle.loads(pickle.dumps(preprocessor)),
    ):
        assert copy == preprocessor
        assert copy(texts)["input_ids"].tolist() == expected
    preprocessor.save(folder)
    assert TransformerPreprocessor(folder, 6) == preprocessor


def test_a_missing_tokenizer_is_an_error_with_a_remedy(tmp_path):
    for place in (tmp_path, tmp_path / "none", tmp_path / "none" / "tokenizer.json"):
        with pytest.raises(NotFoundError, match="save_pretrained"):
            TransformerPreprocessor(place, 16)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff\xfe", b'{"version": "1.0", "model"', b"[1]"]
)
def test_a_damaged_tokenizer_is_a_clear_error(tmp_path, content):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(InvalidArgumentError, match="tokenizer"):
        TransformerPreprocessor(tmp_path, 16)


@pytest.mark.parametrize("max_length", [2, 0, -1, 16.0, True, "16", None])
def test_a_length_without_room_for_a_text_is_refused(folder, max_length):
    with pytest.raises(InvalidArgumentError, match="max_length"):
        TransformerPreprocessor(folder, max_length)


@pytest.mark.parametrize(
    "change", [{"max_length": 1}, {"tokenizer": "{}"}, {"tokenizer": 1}, {"x": 1}]
)
def test_a_damaged_state_is_refused(folder, change):
    state = {**TransformerPreprocessor(folder, 6).to_json(), **change}
    with pytest.raises(InvalidArgumentError):
        preprocessor_from_json(state)


def test_ids_cut_off_are_counted(folder, tmp_path):
    preprocessor = TransformerPreprocessor(folder, 5)
    texts = ["red", "red red red", "red red red red", "red " * 9, ""]
    values, lengths, cut = preprocessor.counted_ids(texts)
    assert lengths.tolist() == [3, 5, 5, 5, 2]
    assert cut.tolist() == [0, 0, 1, 6, 0]
    # The unread part is estimated, but white space at the end is not counted.
    long = "red " * 30_000
    assert preprocessor.counted_ids([long])[2][0] == pytest.approx(30_000 - 3, rel=0.05)
    assert preprocessor.counted_ids(["red red red " + " " * 5_000])[2].tolist() == [0]
    assert preprocessor.counted_ids([" red" * 3 + " " * 5_000 + "red"])[2][0] >= 1
    for text in (*texts, long):
        np.testing.assert_array_equal(
            preprocessor.token_ids([text])[0], preprocessor.counted_ids([text])[0]
        )
    assert preprocessor.counted_ids([])[2].tolist() == []
    plain = make_tokenizer(special=False)
    plain.save(str(tmp_path / "tokenizer.json"))
    assert TransformerPreprocessor(tmp_path, 4).counted_ids(["red " * 9])[2].tolist() == [5]
    plain.enable_truncation(3, direction="left")
    plain.save(str(tmp_path / "tokenizer.json"))
    assert TransformerPreprocessor(tmp_path, 4).counted_ids(["red " * 9])[2].tolist() == [5]


class Dropping(BasePreprocessor):
    """Returns fewer texts than it gets."""

    kind = "test-dropping"

    def __call__(self, texts):
        return {"text": [text for text in texts if text]}


class Nothing(BasePreprocessor):
    """Returns None for some texts."""

    kind = "test-nothing"

    def __call__(self, texts):
        return {"text": [text or None for text in texts]}


@pytest.mark.parametrize("before", [Dropping(), Nothing()])
def test_a_preprocessor_that_loses_texts_is_refused(folder, before):
    tokenizer = TransformerPreprocessor(folder, 8).after(before)
    assert len(tokenizer(["a", "b"])["input_ids"]) == 2
    with pytest.raises(UnsupportedError, match="must make one text of every text"):
        tokenizer(["a", "", "b"])
