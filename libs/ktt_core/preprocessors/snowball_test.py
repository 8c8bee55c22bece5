"""Stemming that keeps stop words unstemmed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import Stemmer
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.errors import InvalidArgumentError
from ktt_core.preprocessors import SnowballStemmerPreprocessor, snowball, stop_words


def stemmed(text: str, language: str = "english", **options: bool) -> str:
    (result,) = SnowballStemmerPreprocessor(language, **options)([text])["text"]
    return result


def test_words_are_stemmed_and_stop_words_stay():
    assert stemmed("The running dogs were having families") == "the run dog were having famili"


def test_a_stop_word_with_another_stem_is_not_stemmed():
    assert Stemmer.Stemmer("english").stemWord("having") == "have"
    assert stemmed("having") == "having"


def test_stop_words_can_be_removed():
    assert stemmed("The dogs of the house", remove_stop_words=True) == "dog hous"
    assert stemmed("of the", remove_stop_words=True) == ""


def test_stemming_can_be_switched_off():
    assert stemmed("The Running DOGS", stem=False) == "the running dogs"
    assert stemmed("The dogs", stem=False, remove_stop_words=True) == "dogs"


def test_contractions_are_stop_words():
    assert stemmed("They don't; we'll see") == "they don't; we'll see"


def test_characters_between_words_are_kept_and_white_space_squashed():
    assert stemmed("  C++ &\n$5.00,\t(cars)!  ") == "c++ & $5.00, (car)!"


@pytest.mark.parametrize(
    "text",
    ["😀👩\u200d💻🏳\ufe0f", "東京タワー", "!!!", "", "हिन्दी में", "مُدَرِّس", "1️⃣", "\ud800"],
)
def test_other_scripts_and_symbols_are_kept(text):
    assert stemmed(text) == text


def test_texts_of_mixed_scripts_are_stemmed():
    assert stemmed("東京 dogs 😀cats") == "東京 dog 😀cat"


def test_words_with_vowel_marks_are_not_split():
    expected = Stemmer.Stemmer("hindi").stemWord("लड़कियों")
    assert expected != "लड़कियों"
    assert (
        stemmed("लड़कियों ने", "hindi") == f"{expected} {Stemmer.Stemmer('hindi').stemWord('ने')}"
    )


def test_a_language_without_a_list_is_stemmed_without_stop_words():
    assert "hungarian" not in stop_words.LANGUAGES
    assert stemmed("házakat", "hungarian") == Stemmer.Stemmer("hungarian").stemWord("házakat")
    with pytest.raises(InvalidArgumentError, match="hungarian"):
        SnowballStemmerPreprocessor("hungarian", remove_stop_words=True)


def test_an_unknown_language_is_refused_with_the_supported_ones():
    with pytest.raises(InvalidArgumentError, match="english"):
        SnowballStemmerPreprocessor("klingon")


@pytest.mark.parametrize("language", stop_words.LANGUAGES)
def test_every_listed_language_has_a_stemmer_and_a_lower_case_list(language):
    words = stop_words.stop_words(language)
    assert len(words) > 50
    assert all(word == word.lower() and snowball._WORD.fullmatch(word) for word in words)
    text = " ".join(sorted(words))
    assert stemmed(text, language) == text
    assert stemmed(text, language, remove_stop_words=True) == ""


@settings(deadline=None)
@given(st.lists(st.text(max_size=40), max_size=8))
def test_a_text_stems_the_same_in_any_batch(texts):
    together = SnowballStemmerPreprocessor()(texts)["text"]
    assert together == [stemmed(text) for text in texts]
    assert all(text == " ".join(text.split()) for text in together)


def test_the_cache_is_bounded_and_does_not_change_results(monkeypatch):
    monkeypatch.setattr(snowball, "_MAX_CACHED_CHARACTERS", 50)
    preprocessor = SnowballStemmerPreprocessor()
    for start in range(0, 300, 10):
        texts = [f"running{number} dogs" for number in range(start, start + 10)]
        assert preprocessor(texts)["text"] == [text[:-1] for text in texts]
        assert sum(map(len, preprocessor._table)) <= 10 * len("running999") + len("dogs")


def test_a_preprocessor_is_thread_safe(monkeypatch):
    monkeypatch.setattr(snowball, "_MAX_CACHED_CHARACTERS", 2000)
    preprocessor = SnowballStemmerPreprocessor()
    batches = [[f"dogs{n} running families{n}ing" for n in range(b, b + 20)] for b in range(200)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(preprocessor, batches))
    assert results == [SnowballStemmerPreprocessor()(batch) for batch in batches]
