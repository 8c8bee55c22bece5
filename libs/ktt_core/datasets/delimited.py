"""CSV and TSV sources: a header line, then rows; quoted fields may hold line breaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
from ktt_core.datasets.textfiles import READ_ERRORS, TextFile, open_text, unreadable

__all__ = ["open_csv", "open_tsv"]

#: Bytes parsed at once; also the longest row there can be. Arrow reads up to 32 blocks ahead.
BLOCK_BYTES = 4 * 1024**2


def open_csv(path: Path, wanted: Wanted) -> Source:
    """Open a CSV file.

    Its separator is a comma, or a semicolon or tab where the header has no comma.

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
            # A reader without column types tells the header as the parser itself understands it.
            names = csv.open_csv(
                pa.BufferReader(_whole_lines(file.head)),
                csv.ReadOptions(use_threads=False, block_size=len(file.head) + 1),
                _parse_options(delimiter, []),
            ).schema.names
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise unreadable(path, _advice(error)) from error
    missing_columns(wanted, names, path.name)
    return Source(_chunks(path, wanted, delimiter), path.stat().st_size, "bytes")


def _chunks(path: Path, wanted: Wanted, delimiter: str) -> Iterator[Chunk]:
    broken: list[int] = []
    parsed = 0
    with open_text(path) as file:
        try:
            reader = csv.open_csv(
                file.stream,
                csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
                _parse_options(delimiter, broken),
                # As bytes: invalid UTF-8 is then a matter of single rows.
                csv.ConvertOptions(
                    column_types=dict.fromkeys(wanted.texts, TEXT), include_columns=wanted.texts
                ),
            )
            for batch in reader:
                for start in range(0, batch.num_rows, CHUNK_ROWS):
                    part = batch.slice(start, CHUNK_ROWS)
                    rows, passed = _row_numbers(parsed, part.num_rows, broken)
                    parsed = int(rows[-1])
                    del broken[: len(passed)]
                    columns = {name: part.column(name) for name in wanted.texts}
                    yield Chunk(columns, rows, _reasons(passed), file.raw.tell())
        except (pa.ArrowException, UnicodeDecodeError, *READ_ERRORS) as error:
            raise unreadable(path, _advice(error)) from error
        if broken:
            columns = {name: pa.array([], TEXT) for name in wanted.texts}
            yield Chunk(columns, np.empty(0, np.int64), _reasons(broken), file.raw.tell())


def _parse_options(delimiter: str, broken: list[int]) -> csv.ParseOptions:
    def note(row: csv.InvalidRow) -> str:
        # The parser counts the header as row 1.
        broken.append(row.number - 1)
        return "skip"

    return csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note)


def _row_numbers(before: int, count: int, broken: list[int]) -> tuple[np.ndarray, list[int]]:
    """Return the numbers of `count` parsed rows after row `before`, and the broken ones between."""
    end = before + count
    if not broken or broken[0] > end:
        return np.arange(before + 1, end + 1), []
    passed = 0
    while passed < len(broken) and broken[passed] <= end:
        passed += 1
        end += 1
    rows = np.setdiff1d(np.arange(before + 1, end + 1), broken[:passed], assume_unique=True)
    return rows, broken[:passed]


def _reasons(rows: list[int]) -> list[tuple[int, str]]:
    return [(row, BROKEN_ROW) for row in rows]


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
