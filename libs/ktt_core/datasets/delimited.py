"""CSV and TSV sources: a header line, then rows; quoted fields may hold line breaks.

A missing closing quote merges rows up to the next quote. If that leaves a broken row, or the file
ends first, the import stops. If by chance it leaves as many values as there are columns, it cannot
be told from a text of several lines.
"""

from __future__ import annotations

import re
import threading
import time
from array import array
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
from ktt_core.datasets.row_sizes import MAX_ROW_BYTES, cut_batch, row_too_long
from ktt_core.datasets.textfiles import (
    LOOK_BYTES,
    READ_ERRORS,
    TextFile,
    open_text,
    unreadable,
)
from ktt_core.errors import DataError

__all__ = ["open_csv", "open_tsv"]

#: Bytes parsed at once, and so the longest row.
BLOCK_BYTES = MAX_ROW_BYTES

# Blocks that exist at once. Arrow reads up to 32 ahead, if it is let, and needs three.
_LIVE_BLOCKS = 4

# Seconds in which Arrow's thread sees the end of a stream, and returns from its last call.
_PATIENCE = 2
_RETURN_TIME = 0.05

# So many broken rows can wait for the next one that is not.
_MAX_BROKEN = 1_000_000

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
        if len(file.head) >= LOOK_BYTES - 3 and b"\n" not in file.head:
            raise unreadable(path, f"its header is longer than {LOOK_BYTES // 1024} KiB")
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

    rows: array[int] = field(default_factory=lambda: array("q"))
    reasons: list[str] = field(default_factory=list)
    stray: tuple[int, int] | None = None

    def take(self, count: int) -> list[tuple[int, str]]:
        """Remove and return the first rows with their reasons."""
        taken = list(zip(self.rows[:count], self.reasons[:count], strict=True))
        del self.rows[:count], self.reasons[:count]
        return taken


class _Block(bytearray):
    """Bytes that tell when Arrow has released them."""

    free: threading.Semaphore | None = None

    def __del__(self) -> None:
        if self.free is not None:
            self.free.release()


class _Blocks:
    """A stream of which few blocks exist at once, and that keeps the last bytes read.

    Arrow reads it in a thread of its own.
    """

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._free = threading.Semaphore(_LIVE_BLOCKS)
        self._stopped = False
        self._ended = threading.Event()
        self.last = b""

    def read(self, size: int = -1) -> bytes | bytearray:
        self._free.acquire()
        data = _Block() if self._stopped else _Block(self._stream.read(size))
        data.free = self._free
        self.last = (self.last + data[-_LAST:])[-_LAST:]
        if not data:
            self._ended.set()
        return data

    def stop(self) -> None:
        """End the stream, and wait until Arrow's thread has seen it.

        Otherwise it could call back while the reader is destroyed, which waits for it and holds the
        interpreter's lock; or when there is no interpreter any more.
        """
        if not self._ended.is_set():
            self._stopped = True
            self._free.release()
            self._ended.wait(_PATIENCE)
            time.sleep(_RETURN_TIME)

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
        blocks = _Blocks(file.stream)
        try:
            reader = csv.open_csv(
                blocks,
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
                place = partial(_place, path, delimiter, parsed, broken)
                for part in cut_batch(batch, CHUNK_ROWS, path.name, place):
                    rows, passed = _row_numbers(parsed, part.num_rows, broken.rows)
                    parsed = int(rows[-1])
                    final = part.column(last)[-1].as_py() or b""
                    columns = {name: part.column(name) for name in wanted.texts}
                    while passed > CHUNK_ROWS:
                        yield _only_broken(wanted, broken, file)
                        passed -= CHUNK_ROWS
                    yield Chunk(columns, rows, broken.take(passed), file.raw.tell())
        except (pa.ArrowException, UnicodeDecodeError, *READ_ERRORS) as error:
            if len(broken.rows) >= _MAX_BROKEN:
                raise DataError(
                    f"{path.name} has {_MAX_BROKEN:,} broken rows one after the other: is the "
                    f"separator {delimiter!r}, and its first line a header?"
                ) from error
            if "straddl" in str(error):
                hint = "Most likely a quote is opened and never closed"
                raise row_too_long(path.name, f"a row after row {parsed:,}", hint) from error
            raise unreadable(path, _advice(error)) from error
        finally:
            blocks.stop()
        _refuse_stray(path, delimiter, broken)
        if b"\n" in final and not broken.rows and not blocks.last.rstrip(b"\r\n").endswith(b'"'):
            # A value with line breaks must be quoted, but the file does not end with a quote.
            broken.stray = parsed, final.rstrip(b"\r\n").count(b"\n")
            _refuse_stray(path, delimiter, broken)
        while broken.rows:
            yield _only_broken(wanted, broken, file)


def _only_broken(wanted: Wanted, broken: _Broken, file: TextFile) -> Chunk:
    columns = {name: pa.array([], TEXT) for name in wanted.texts}
    return Chunk(columns, np.empty(0, np.int64), broken.take(CHUNK_ROWS), file.raw.tell())


def _place(path: Path, delimiter: str, parsed: int, broken: _Broken, index: int) -> str:
    rows, _ = _row_numbers(parsed, index + 1, broken.rows)
    return _line_of(path, delimiter, int(rows[-1]))


def _line_of(path: Path, delimiter: str, row: int) -> str:
    line = csv_lines(path, delimiter, [row]).get(row)
    return f"row {row:,}" if line is None else f"line {line:,}"


def _refuse_stray(path: Path, delimiter: str, broken: _Broken) -> None:
    if broken.stray is not None:
        row, lines = broken.stray
        raise DataError(
            f"{_line_of(path, delimiter, row)} of {path.name} is a broken row: a quote opens there "
            f"that is not closed, and swallows the next {lines:,} line{'s' * (lines != 1)}. Close "
            'the quote, or double it ("") where it belongs to the text'
        )


def _parse_options(delimiter: str, broken: _Broken) -> csv.ParseOptions:
    reasons: dict[str, str] = {}

    def note(row: csv.InvalidRow) -> str:
        if len(broken.rows) >= _MAX_BROKEN:
            return "error"
        # The parser counts the header as row 1.
        number = row.number - 1
        broken.rows.append(number)
        reason = _reason(row.actual_columns, row.expected_columns)
        broken.reasons.append(reasons.setdefault(reason, reason))
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


def _row_numbers(before: int, count: int, broken: array[int]) -> tuple[np.ndarray, int]:
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
    if "Empty CSV" in problem:
        return "it has no rows; the first line must name the columns"
    return problem
