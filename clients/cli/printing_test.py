"""Nothing that is printed can order a terminal about, and JSON keeps its values."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output import print_table
from cli.printing import echo, print_json, printable, to_json

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\x08\x7f\x9b31m\u202egnp.exe\u2066"


def harmless(text: str) -> bool:
    return all(
        unicodedata.category(c) != "Cc"
        and unicodedata.bidirectional(c) not in ("RLO", "LRO", "RLE")
        for c in text
        if c not in "\t\n"
    )


@given(st.text())
def test_no_order_is_left_and_other_texts_stay(text):
    assert harmless(printable(text))
    if text.isprintable():
        assert printable(text) == text


@given(st.recursive(st.text() | st.floats(allow_nan=False), lambda inner: st.lists(inner)))
def test_json_keeps_its_values(value):
    assert json.loads(to_json(value)) == value
    assert harmless(to_json(value))


def test_texts_tables_and_json_are_printed_without_orders(capsys: pytest.CaptureFixture[str]):
    echo(HOSTILE)
    echo(HOSTILE, err=True, bold=True)
    print_table([HOSTILE], [[HOSTILE]], title="rows")
    print_json({HOSTILE: HOSTILE})
    out, err = capsys.readouterr()
    assert harmless(out) and harmless(err)
    assert "\\x1b]0;owned\\x07\\x1b[2J" in out and "\\u202egnp.exe" in out
