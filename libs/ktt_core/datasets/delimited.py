"""CSV and TSV sources: a header line, then rows; quoted fields may hold line breaks.

A missing closing quote merges rows up to the next quote. If that leaves a broken row, or the file
ends first, the import stops. If by chance it leaves as many values as there are columns, it cannot
be told from a text of several lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from ktt_core.datasets.chunks import (
    BROKEN_ROW,
    CHUNK_ROWS,
    TEXT,
    Chunk,
    Source,
    Wanted,
    missing_columns,
    text_not_lists,
)
from ktt_core.datasets.line_numbers import csv_lines
from ktt_core.datasets.textfiles import READ_ERRORS, TextFile, open_text, unreadable
from ktt_core.errors import DataError

__all__ = ["open_csv", "open_tsv"]

#: Bytes parsed at once, and so the longest row. Arrow reads up to 32 blocks ahead.
BLOCK_BYTES = 4 * 1024**2

# Bytes at the end of a file that are searched for its last quote.
_LAST = 64

_QUOTED = re.compile(r'"[^"]*"(?:"[^"]*")*')


def open_csv(path: Path, wanted: Wanted) -> Source:
    """Open a CSV file.

    The separator is a comma, or a semicolon or tab where the header has no comma.

    Raises
    ------
    DataError
        If it cannot be read, has no header or lacks a wanted column.
    """
    return _open(path, wanted, ",")


def open_tsv(path: Path, wanted: Wanted) -> Source:
    """Open a file of tab-separated values; otherwise as `open_csv`."""
    return _open(path, wanted, "\t")


def _open(path: Path, wanted: Wanted, delimiter: str) -> Source:
    if wanted.lists:
        raise text_not_lists(wanted.lists[0], path.name)
    with open_text(path) as file:
        delimiter = _delimiter(file, delimiter)
        try:
            # A reader without column types gives the header as the parser reads it.
            names = csv.open_csv(
                pa.BufferReader(_whole_lines(file.head)),
                csv.ReadOptions(use_threads=False, block_size=len(file.head) + 1),
                _parse_options(delimiter, _Broken()),
            ).schema.names
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise unreadable(path, _advice(error)) from error
    missing_columns(wanted, names, path.name)
    return Source(
        _chunks(path, wanted, delimiter, names[-1]),
        path.stat().st_size,
        "bytes",
        partial(csv_lines, path, delimiter),
    )


@dataclass
class _Broken:
    """Rows the parser could not read and that are not yet reported, and an unclosed quote."""

    rows: list[int] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    stray: tuple[int, int] | None = None

    def take(self, count: int) -> list[tuple[int, str]]:
        """Remove and return the first rows with their reasons."""
        taken = list(zip(self.rows[:count], self.reasons[:count], strict=True))
        del self.rows[:count], self.reasons[:count]
        return taken


class _Tail:
    """A stream that keeps the last bytes read."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.last = (self.last + data[-_LAST:])[-_LAST:]
        return data

    def close(self) -> None:
        # The underlying stream is closed by its owner.
        self.closed = True


def _chunks(path: Path, wanted: Wanted, delimiter: str, last: str) -> Iterator[Chunk]:
    broken = _Broken()
    parsed = 0
    final = b""
    # The last column shows whether the last row's quote was closed.
    included = list(dict.fromkeys([*wanted.texts, last]))
    with open_text(path) as file:
        try:
            tail = _Tail(file.stream)
            reader = csv.open_csv(
                tail,
                csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
                _parse_options(delimiter, broken),
                # As bytes, so that invalid UTF-8 affects single rows only.
                csv.ConvertOptions(
                    column_types=dict.fromkeys(included, TEXT), include_columns=included
                ),
            )
            _refuse_stray(path, delimiter, broken)
            for batch in reader:
                _refuse_stray(path, delimiter, broken)
                for start in range(0, batch.num_rows, CHUNK_ROWS):
                    part = batch.slice(start, CHUNK_ROWS)
                    rows, passed = _row_numbers(parsed, part.num_rows, broken.rows)
                    parsed = int(rows[-1])
                    final = part.column(last)[-1].as_py() or b""
                    columns = {name: part.column(name) for name in wanted.texts}
                    yield Chunk(columns, rows, broken.take(passed), file.raw.tell())
        except (pa.ArrowException, UnicodeDecodeError, *READ_ERRORS) as error:
            raise unreadable(path, _advice(error)) from error
        _refuse_stray(path, delimiter, broken)
        if b"\n" in final and not broken.rows and not tail.last.rstrip(b"\r\n").endswith(b'"'):
            # A value with line breaks must be quoted, but the file does not end with a quote.
            broken.stray = parsed, final.rstrip(b"\r\n").count(b"\n")
            _refuse_stray(path, delimiter, broken)
        if broken.rows:
            columns = {name: pa.array([], TEXT) for name in wanted.texts}
            rest = broken.take(len(broken.rows))
            yield Chunk(columns, np.empty(0, np.int64), rest, file.raw.tell())


def _refuse_stray(path: Path, delimiter: str, broken: _Broken) -> None:
    if broken.stray is not None:
        row, lines = broken.stray
        line = csv_lines(path, delimiter, [row]).get(row)
        where = f"row {row:,}" if line is None else f"line {line:,}"
        raise DataError(
            f"{where} of {path.name} is a broken row: a quote opens there that is not closed, "
            f"and swallows the next {lines:,} line{'s' * (lines != 1)}. Close the quote, or double "
            'it ("") where it belongs to the text'
        )


def _parse_options(delimiter: str, broken: _Broken) -> csv.ParseOptions:
    def note(row: csv.InvalidRow) -> str:
        # The parser counts the header as row 1.
        number = row.number - 1
        broken.rows.append(number)
        broken.reasons.append(_reason(row.actual_columns, row.expected_columns))
        if broken.stray is None and _is_stray(row.text, delimiter):
            broken.stray = number, row.text.rstrip("\r\n").count("\n")
        return "skip"

    return csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note)


def _reason(found: int, expected: int) -> str:
    # Unquoted commas of texts vary in number: counts that exceed by more than one share a reason.
    shown = str(found) if found <= expected + 1 else f"more than {expected + 1}"
    values = f"{shown} value{'s' * (shown != '1')}"
    return f"{BROKEN_ROW}: {values} for {expected} column{'s' * (expected != 1)}"


def _is_stray(text: str, delimiter: str) -> bool:
    """Tell whether a multi-line broken row has a quote that is not closed, or closes in a value.

    That distinguishes an unclosed quote, which ends at the next row's quote, from a text of several
    lines in a row with too few or too many values.
    """
    if "\n" not in text:
        return False
    place = 0
    while place < len(text):
        if text[place] == '"':
            closed = _QUOTED.match(text, place)
            if closed is None:
                return True
            place = closed.end()
            if place < len(text) and text[place] not in (delimiter, "\r", "\n"):
                return True
        following = text.find(delimiter, place)
        if following < 0:
            return False
        place = following + 1
    return False


def _row_numbers(before: int, count: int, broken: list[int]) -> tuple[np.ndarray, int]:
    """Return the numbers of `count` parsed rows after row `before`, and how many broken precede."""
    end = before + count
    if not broken or broken[0] > end:
        return np.arange(before + 1, end + 1), 0
    passed = 0
    while passed < len(broken) and broken[passed] <= end:
        passed += 1
        end += 1
    rows = np.setdiff1d(np.arange(before + 1, end + 1), broken[:passed], assume_unique=True)
    return rows, passed


def _whole_lines(head: bytes) -> bytes:
    end = head.rfind(b"\n")
    return head[: end + 1] if end >= 0 else head


def _delimiter(file: TextFile, usual: str) -> str:
    header = file.head.split(b"\n", 1)[0].decode("utf-8", "replace")
    others = [other for other in ",;\t" if other in header]
    return usual if usual in header or not others else others[0]


def _advice(error: BaseException) -> str:
    problem = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, UnicodeDecodeError):
        return "its header is not UTF-8; save it as UTF-8"
    if "straddl" in problem:
        limit = f"a row is longer than {BLOCK_BYTES // 1024**2} MiB"
        return f"{limit}; most likely a quote is opened and never closed"
    if "Empty CSV" in problem:
        return "it has no rows; the first line must name the columns"
    return problem
