from __future__ import annotations

import json
import random
import tracemalloc
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.errors import CheckpointError, DataError, InvalidArgumentError
from ktt_core.tfidf.batches import counted_characters
from ktt_core.tfidf.counting import MAX_TERM_LENGTH, TermCounter
from ktt_core.tfidf.ngrams import char_grams, gram_keys, word_grams
from ktt_core.tfidf.vectorizer import TfidfVectorizer

TEXTS = [
    "The cats sat on the mat.",
    "A cat's mat; the MAT!",
    "Ünïcode straße ΣΑΣ 漢字 かな 漢字",
    "🎉🎉 party 🎉 party-time",
    "",
    "a",
    "running runs run",
]

# Letters of several scripts, digits, punctuation, emoji and all kinds of white space; no combining
# marks.
_ALPHABET = "aAbBzZ09_-.,;!?'ßÄıΣσñжЖ漢字かな한글🎉👍\u200b \t\n\r\x0b\x1c\u00a0\u2003\u3000"
_texts = st.lists(st.text(alphabet=_ALPHABET, max_size=30), min_size=1, max_size=8)


def _strings(grams) -> list[tuple[int, str]]:
    return [
        (int(row), "".join(map(chr, grams.codes[start:stop])))
        for row, start, stop in zip(grams.rows, grams.starts, grams.stops, strict=True)
    ]


def _plain_words(text: str, lo: int, hi: int) -> list[str]:
    words, word = [], ""
    for character in text.lower() + " ":
        if character.isalnum() or character == "_":
            word += character
        elif word:
            words.append(word)
            word = ""
    return [
        " ".join(words[i : i + n]) for n in range(lo, hi + 1) for i in range(len(words) - n + 1)
    ]


def _plain_chars(text: str, lo: int, hi: int) -> list[str]:
    found = []
    for word in text.lower().split():
        padded = f" {word} "
        if len(padded) < lo:
            found.append(padded)
        for n in range(lo, hi + 1):
            found += [padded[i : i + n] for i in range(len(padded) - n + 1)]
    return found


@settings(max_examples=60, deadline=None)
@given(_texts, st.integers(1, 3), st.integers(0, 2))
def test_word_grams_are_those_of_a_plain_loop(texts, lo, more):
    expected = [
        (row, gram) for row, t in enumerate(texts) for gram in _plain_words(t, lo, lo + more)
    ]
    assert sorted(_strings(word_grams(texts, lo, lo + more))) == sorted(expected)


@settings(max_examples=60, deadline=None)
@given(_texts, st.integers(1, 5), st.integers(0, 3))
def test_char_grams_are_those_of_a_plain_loop(texts, lo, more):
    expected = [
        (row, gram) for row, t in enumerate(texts) for gram in _plain_chars(t, lo, lo + more)
    ]
    assert sorted(_strings(char_grams(texts, lo, lo + more))) == sorted(expected)


@settings(max_examples=60, deadline=None)
@given(_texts)
def test_only_equal_grams_have_equal_keys(texts):
    for grams in (word_grams(texts, 1, 2), char_grams(texts, 2, 5)):
        by_key: dict[int, str] = {}
        by_term: dict[str, int] = {}
        for key, (_, term) in zip(gram_keys(grams).tolist(), _strings(grams), strict=True):
            assert by_key.setdefault(key, term) == term
            assert by_term.setdefault(term, key) == key


def test_a_combining_mark_belongs_to_its_word():
    hindi = "हिन्दी भाषा"
    assert any(unicodedata.category(character) == "Mc" for character in hindi)
    assert [term for _, term in _strings(word_grams([hindi], 1, 1))] == hindi.split()


def _random_texts(n: int, seed: int) -> list[str]:
    generator = random.Random(seed)
    words = [
        "".join(generator.choices(_ALPHABET[:35], k=generator.randint(1, 7))) for _ in range(60)
    ]
    return [" ".join(generator.choices(words, k=generator.randint(0, 12))) for _ in range(n)]


@pytest.mark.parametrize(
    ("kind", "smallest", "largest", "min_df"),
    [("w", 1, 2, 1), ("w", 2, 3, 2), ("c", 2, 5, 1), ("c", 4, 6, 3)],
)
def test_features_are_those_of_scikit_learn(kind, smallest, largest, min_df):
    text = pytest.importorskip("sklearn.feature_extraction.text")
    train, test = _random_texts(80, 1), _random_texts(30, 2)
    reference = text.TfidfVectorizer(
        analyzer="word" if kind == "w" else "char_wb",
        ngram_range=(smallest, largest),
        token_pattern=r"\w+",
        sublinear_tf=True,
        min_df=min_df,
    ).fit(train)
    ours = TfidfVectorizer(
        (smallest, largest) if kind == "w" else None,
        (smallest, largest) if kind == "c" else None,
        stem=None,
        min_df=min_df,
        char_min_df=min_df,
    ).fit([train])
    terms = [term[2:] for term in ours.terms()]
    assert sorted(terms) == sorted(reference.vocabulary_)
    columns = [reference.vocabulary_[term] for term in terms]
    for texts in (train, test):
        expected = reference.transform(texts).toarray()[:, columns]
        np.testing.assert_allclose(ours.transform(texts).to_dense(), expected, atol=2e-6)


def test_results_do_not_depend_on_batches(monkeypatch):
    monkeypatch.setattr("ktt_core.tfidf.batches._CHUNK", 300)
    texts = _random_texts(120, 3) + TEXTS
    whole = TfidfVectorizer(max_features=200, max_candidates=1000).fit([texts])
    single = TfidfVectorizer(max_features=200, max_candidates=1000).fit([text] for text in texts)
    for name, array in whole.state_dict()[0].items():
        np.testing.assert_array_equal(array, single.state_dict()[0][name])
    together = whole.transform(texts)
    for row, text in enumerate(texts):
        alone, row_of_batch = whole.transform([text]), together.take(row, row + 1)
        np.testing.assert_array_equal(alone.indices, row_of_batch.indices)
        np.testing.assert_array_equal(alone.data, row_of_batch.data)


def test_rows_have_length_one_and_ascending_columns():
    vectorizer = TfidfVectorizer(char_min_df=1).fit([TEXTS])
    rows = vectorizer.transform(TEXTS)
    for row, text in enumerate(TEXTS):
        entry = rows.take(row, row + 1)
        # An emoji is not a word, so a text with only emoji would have no word block.
        assert np.linalg.norm(entry.data) == pytest.approx(1.0 if text else 0.0, abs=1e-5)
        assert np.all(np.diff(entry.indices) > 0)
    assert rows.indptr.dtype == np.int64
    assert rows.indices.dtype == np.int32
    assert rows.data.dtype == np.float32


def test_words_are_stemmed_and_characters_are_not():
    vectorizer = TfidfVectorizer((1, 1), (4, 4), char_min_df=1).fit([["running very fast"]])
    assert "w:run" in vectorizer.terms()
    assert "w:very" in vectorizer.terms()
    assert "c:ning" in vectorizer.terms()


def test_unknown_terms_are_left_out_and_counted():
    vectorizer = TfidfVectorizer((1, 1), None, stem=None).fit([["red green", "blue"]])
    rows, unknown = vectorizer.transform_counted(["red pink", "pink", "", "blue"])
    np.testing.assert_allclose(unknown, [0.5, 1.0, 0.0, 0.0])
    assert np.diff(rows.indptr).tolist() == [1, 0, 0, 1]


def test_an_empty_batch_gives_no_rows():
    vectorizer = TfidfVectorizer(char_min_df=1).fit([TEXTS])
    rows, unknown = vectorizer.transform_counted([])
    assert rows.n_rows == 0
    assert rows.n_columns == vectorizer.n_features
    assert unknown.shape == (0,)


def test_min_df_is_a_count_or_a_share():
    texts = ["a b", "a c", "a d", "a b"]
    count = TfidfVectorizer((1, 1), None, min_df=2).fit([texts])
    share = TfidfVectorizer((1, 1), None, min_df=0.5).fit([texts])
    assert sorted(count.terms()) == sorted(share.terms()) == ["w:a", "w:b"]
    assert TfidfVectorizer((1, 1), None, min_df=2, max_df=0.9).fit([texts]).terms() == ["w:b"]
    assert sorted(TfidfVectorizer((1, 1), None, max_features=1).fit([texts]).terms()) == ["w:a"]


def test_a_rebuilt_vectorizer_gives_the_same_vectors():
    vectorizer = TfidfVectorizer(char_min_df=1).fit([TEXTS])
    arrays, params = vectorizer.state_dict()
    again = TfidfVectorizer.from_state(arrays, json.loads(json.dumps(params)))
    found, expected = again.transform(TEXTS), vectorizer.transform(TEXTS)
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.data, expected.data)
    assert again.terms() == vectorizer.terms()


def test_a_damaged_state_is_refused():
    arrays, params = TfidfVectorizer(char_min_df=1).fit([TEXTS]).state_dict()
    for change in (
        {"idf": arrays["idf"][:-1]},
        {"idf": np.where(np.arange(len(arrays["idf"])) == 3, np.nan, arrays["idf"])},
        {"idf": arrays["idf"] * np.float32(np.inf)},
        {"w_keys": arrays["w_keys"][::-1]},
        {"c_codes": arrays["c_codes"][:-1]},
        {"idf": arrays["idf"] * 0},
        {"w_keys": arrays["w_keys"][:, None]},
        {"w_codes": arrays["w_codes"] + 0x110000},
        # Lengths whose sum is right.
        {"w_lengths": shifted(arrays["w_lengths"], 1000)},
        {"w_lengths": shifted(arrays["w_lengths"], 2**63 - 1000)},
    ):
        with pytest.raises(CheckpointError):
            TfidfVectorizer.from_state({**arrays, **change}, params)
    with pytest.raises(CheckpointError):
        TfidfVectorizer.from_state({}, params)
    with pytest.raises(CheckpointError):
        TfidfVectorizer.from_state(arrays, {"stem": "klingon"})


def shifted(lengths, by):
    changed = lengths.astype(np.int64)
    changed[0] += by
    changed[1] -= by
    return changed


def test_a_megabyte_without_spaces_is_one_text_and_no_term():
    long = "x" * 1_000_000
    vectorizer = TfidfVectorizer(char_min_df=1).fit([[long, "short text"]])
    assert max(map(len, vectorizer.terms())) <= MAX_TERM_LENGTH + 2
    assert vectorizer.transform([long, "🎉" * 1000]).n_rows == 2


def test_a_text_is_read_up_to_max_chars():
    vectorizer = TfidfVectorizer(char_min_df=1, max_chars=9).fit(
        [["red shoes and more", "a shirt"]]
    )
    assert "w:red shoe" in vectorizer.terms() and "w:and" not in vectorizer.terms()
    rows, unknown = vectorizer.transform_counted(["red shoes", "red shoes unknown", "red shoe"])
    np.testing.assert_array_equal(rows.take(0, 1).to_dense(), rows.take(1, 2).to_dense())
    assert unknown.tolist()[:2] == [0.0, 0.0]
    assert [part.tolist() for part in counted_characters(["", "123456789", "1234567890"], 9)] == [
        [0, 9, 9],
        [0, 0, 1],
    ]
    # No cut at a character of several code points, or beside half of one, is an error.
    vectorizer.transform(
        ["red shoe\u0301\u0323", "12345678\U0001f468\u200d", "12345678\ud83d\udc68"]
    )


def test_five_megabytes_of_text_cost_what_the_limit_does():
    vectorizer = TfidfVectorizer(char_min_df=1).fit([["some short text"]])
    long = "".join(f"w{number} " for number in range(700_000))
    tracemalloc.start()
    try:
        vectorizer.transform([long])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 << 20 and len(long) > 5_000_000


def test_lone_surrogates_and_control_characters_are_accepted():
    texts = ["\ud800 lone", "nul \x00 byte", "\ufeffbom \u202e rtl"]
    vectorizer = TfidfVectorizer(char_min_df=1).fit([texts])
    assert len(vectorizer.terms()) == vectorizer.n_features
    assert np.all(np.diff(vectorizer.transform(texts).indptr) > 0)


def test_texts_without_a_vocabulary_are_refused():
    with pytest.raises(DataError, match="no texts"):
        TfidfVectorizer().fit([])
    with pytest.raises(DataError, match="min_df"):
        TfidfVectorizer(min_df=5, char_min_df=5).fit([TEXTS])
    with pytest.raises(InvalidArgumentError, match="fit first"):
        TfidfVectorizer().transform(["a"])


@pytest.mark.parametrize(
    "params",
    [
        {"word_ngrams": (2, 1)},
        {"word_ngrams": None, "char_ngrams": None},
        {"min_df": 0},
        {"min_df": 1.5},
        {"max_df": 2.0},
        {"max_features": 0},
        {"word_weight": 0.0},
        {"stem": "klingon"},
        {"max_chars": 0},
        {"max_chars": 1.5},
        {"max_chars": None},
    ],
)
def test_bad_parameters_are_refused(params):
    with pytest.raises(InvalidArgumentError):
        TfidfVectorizer(**params)


def test_counting_drops_the_rarest_terms_when_full():
    counter = TermCounter(max_terms=1000)
    for start in range(0, 4000, 500):
        texts = [f"common w{start + i}" for i in range(500)]
        counter.add(word_grams(texts, 1, 1), len(texts))
    table = counter.table()
    assert len(table.keys) <= 1000
    assert "common" in table.strings()
