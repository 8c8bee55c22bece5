from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.datasets.texts import fingerprints, squash, squash_all, valid_utf8

_texts = st.text(
    st.sampled_from(
        " \t\n\r\x00\x0b\x1c\x1f\x7f\x85\x9f\xa0\u1680\u2003\u2028\u202f\u3000ab.é数🎈\u200b\ufeff"
    )
)
_any_text = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("text", "squashed"),
    [
        ("plain text", "plain text"),
        ("  two\t\tparts \r\n", "two parts"),
        ("nul\x00inside", "nul inside"),
        ("no\xa0break\u3000space\u2028line", "no break space line"),
        ("zero\u200bwidth and 🎈 and e\u0301 stay", "zero\u200bwidth and 🎈 and e\u0301 stay"),
        (" \x00\x9f ", ""),
    ],
)
def test_only_whitespace_and_control_characters_are_squashed(text: str, squashed: str) -> None:
    assert squash(text) == squashed


@settings(deadline=None)
@given(st.lists(_texts | _any_text))
def test_whole_columns_are_squashed_as_single_texts_are(texts: list[str]) -> None:
    assert squash_all(pa.array(texts, pa.string())).to_pylist() == [squash(t) for t in texts]


@settings(deadline=None)
@given(_texts | _any_text)
def test_squashing_twice_changes_nothing(text: str) -> None:
    assert squash(squash(text)) == squash(text)


def test_nulls_become_empty() -> None:
    assert squash_all(pa.array(["a", None, " b"])).to_pylist() == ["a", "", "b"]


@settings(deadline=None)
@given(st.lists(st.none() | st.binary(max_size=6), max_size=8))
def test_utf8_is_validated_row_by_row(values: list[bytes | None]) -> None:
    def decodes(value: bytes) -> bool:
        try:
            value.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True

    expected = [value is None or decodes(value) for value in values]
    assert valid_utf8(pa.array(values, pa.binary())).tolist() == expected


def test_fingerprints_differ_for_texts_that_differ_beyond_case() -> None:
    a, b, c, d = fingerprints(pa.array(["Straße", "STRASSE", "Strasse 1", ""])).tolist()
    assert a == b
    assert len({a, c, d}) == 3
