"""Texts come one a line, and a file that is none of texts is told so."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.text_lines import TextLines
from ktt_core.errors import DataError, InvalidArgumentError, NotFoundError


def test_every_line_is_a_text(tmp_path: Path) -> None:
    file = tmp_path / "texts.txt"
    file.write_bytes("\ufeffé one\r\n two \n\u2028last".encode())
    assert list(TextLines(file)) == ["é one", " two ", "\u2028last"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\nnext\n"])
def test_the_largest_line_is_a_text(tmp_path: Path, end: bytes) -> None:
    file = tmp_path / "texts.txt"
    file.write_bytes("\ufeff".encode() + b"x" * 1_000_000 + end)
    assert list(TextLines(file))[0] == "x" * 1_000_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("one\nZwölf\n".encode("latin-1"), ["line 2 of", "0xf6", "'Zw'", "iconv -f LATIN1"]),
        ("one\n".encode("utf-16"), ["UTF-16", "iconv -f UTF-16"]),
        (b"\x1f\x8b\x08rest", ["gzip"]),
        (b"PK\x03\x04rest", ["spreadsheet"]),
        (b"one\n\ntwo\n", ["line 2 of", "is empty"]),
        (b"one\n\0 \n", ["line 2 of", "is empty"]),
        (b"one\n" + b"x" * 1_000_001 + b"\n", ["line 2 of", "1,000,001 bytes"]),
        ("\ufeffa".encode() + "é".encode() * 700_000, ["line 1 of", "more than 1,000,000 bytes"]),
        (b"one\n" + "é".encode() * 700_000, ["line 2 of", "more than 1,000,000 bytes"]),
    ],
)
def test_what_is_no_text_is_told_with_the_way_out(
    tmp_path: Path, content: bytes, words: list[str]
) -> None:
    file = tmp_path / "texts.txt"
    file.write_bytes(content)
    with pytest.raises(DataError) as error:
        list(TextLines(file))
    assert all(word in str(error.value) for word in [*words, "texts.txt"])


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        TextLines(tmp_path / "none")
    with pytest.raises(InvalidArgumentError, match="directory"):
        TextLines(tmp_path)
