"""The vocabulary beside a graph gives the same rows as in training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.errors import CheckpointError, InvalidArgumentError
from ktt_core.preprocessors.cleaning import squash
from ktt_core.tfidf.reference_features import reference_features
from ktt_core.tfidf.text_rows import TextRows
from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_core.tfidf.vocabulary import write_vocabulary

TEXTS = ["running shoes for men", "a guitar with strings", "", "zzz", "Running\t\x00 SHOES ☃"]


@pytest.fixture()
def vectorizer():
    return TfidfVectorizer(char_min_df=1).fit([TEXTS[:2]])


def test_rows_equal_those_of_the_vectorizer_on_cleaned_texts(vectorizer, tmp_path):
    write_vocabulary(vectorizer, tmp_path)
    inputs = TextRows(tmp_path)(TEXTS)
    rows = vectorizer.transform([*TEXTS[:4], "Running SHOES ☃"])
    np.testing.assert_array_equal(inputs["term_ids"], rows.indices)
    np.testing.assert_array_equal(inputs["term_weights"], rows.data)
    np.testing.assert_array_equal(inputs["row_offsets"], rows.indptr)
    assert {name: array.dtype.name for name, array in inputs.items()} == {
        "term_ids": "int64",
        "term_weights": "float32",
        "row_offsets": "int64",
    }


# Words, and what a cut may fall into: combining marks, emoji of several characters, white space.
_PIECES = ["red ", "shoes", "o\u0301\u0323", "\U0001f468\u200d\U0001f469", " \0\t", "ß", "\u0301"]
_texts = st.lists(st.lists(st.sampled_from(_PIECES), max_size=40).map("".join), max_size=5)


def assert_same_rows(one, other):
    np.testing.assert_array_equal(one.indptr, other.indptr)
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_array_equal(one.data, other.data)


@settings(max_examples=50, deadline=None)
@given(_texts, st.integers(1, 60))
def test_a_bundle_reads_of_a_long_text_what_training_reads(tmp_path_factory, texts, max_chars):
    folder = tmp_path_factory.mktemp("vocabulary")
    cleaned = ["a red shoe", *map(squash, texts)]
    trained = TfidfVectorizer(char_min_df=1, max_chars=max_chars).fit([cleaned])
    write_vocabulary(trained, folder)
    bundle = TextRows(folder)
    prepared = bundle.prepared(["a red shoe", *texts])
    rows, unknown = trained.transform_counted(cleaned)
    bundle_rows, bundle_unknown = bundle.vectorizer.transform_counted(prepared)
    assert_same_rows(rows, bundle_rows)
    np.testing.assert_array_equal(
        reference_features(rows, cleaned, unknown),
        reference_features(bundle_rows, prepared, bundle_unknown),
    )
    # Both read what there would be if each text ended at the limit.
    cut = [text[:max_chars] for text in cleaned]
    unlimited = TfidfVectorizer(char_min_df=1).fit([cut])
    assert unlimited.terms() == trained.terms()
    assert_same_rows(unlimited.transform(cut), rows)


def test_a_vocabulary_of_before_the_limit_reads_as_much_as_one_of_today(vectorizer, tmp_path):
    write_vocabulary(vectorizer, tmp_path)
    file = tmp_path / "vocabulary.json"
    params = json.loads(file.read_bytes())
    assert params["vectorizer"].pop("max_chars") == 100_000
    file.write_text(json.dumps(params))
    assert TextRows(tmp_path).vectorizer.max_chars == 100_000


def test_no_texts_give_no_rows(vectorizer, tmp_path):
    write_vocabulary(vectorizer, tmp_path)
    inputs = TextRows(tmp_path)([])
    assert inputs["row_offsets"].tolist() == [0]
    assert len(inputs["term_ids"]) == len(inputs["term_weights"]) == 0


def test_the_same_vocabulary_gives_the_same_bytes(vectorizer, tmp_path):
    contents = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_vocabulary(vectorizer, tmp_path / name)
        contents.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]


def test_a_single_string_is_refused(vectorizer, tmp_path):
    write_vocabulary(vectorizer, tmp_path)
    with pytest.raises(InvalidArgumentError, match="wrap it in a list"):
        TextRows(tmp_path)("shoes")


def test_damaged_files_are_refused(vectorizer, tmp_path):
    def refused(name, content):
        write_vocabulary(vectorizer, tmp_path)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="cannot be read"):
            TextRows(tmp_path)

    write_vocabulary(vectorizer, tmp_path)
    archive = (tmp_path / "vocabulary.npz").read_bytes()
    params = json.loads((tmp_path / "vocabulary.json").read_bytes())
    refused("vocabulary.npz", archive[: len(archive) // 2])
    refused("vocabulary.npz", b"")
    refused("vocabulary.npz", b"\x80\x04N.")
    refused("vocabulary.json", b"[1]")
    refused("vocabulary.json", b"{")
    refused("vocabulary.json", json.dumps({**params, "format_version": 2}).encode())
    refused("vocabulary.json", json.dumps({**params, "vectorizer": {"a": 1}}).encode())
    (tmp_path / "vocabulary.npz").unlink()
    with pytest.raises(CheckpointError, match="vocabulary.npz"):
        TextRows(tmp_path)


def test_objects_are_never_unpickled(vectorizer, tmp_path):
    write_vocabulary(vectorizer, tmp_path)
    arrays, _ = vectorizer.state_dict()
    np.savez(tmp_path / "vocabulary.npz", **{**arrays, "idf": np.array([{}], dtype=object)})
    with pytest.raises(CheckpointError, match="cannot be read"):
        TextRows(tmp_path)
