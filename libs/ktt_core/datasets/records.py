"""JSON sources: an array of objects, or one object per line."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ktt_core.datasets.chunks import BROKEN_ROW, Chunk, Source, Wanted
from ktt_core.datasets.objects import check_objects, chunk_of_objects
from ktt_core.datasets.row_sizes import MAX_ROW_BYTES, MAX_ROW_VALUES, row_too_long
from ktt_core.datasets.textfiles import (
    READ_ERRORS,
    TextFile,
    lines,
    open_text,
    reading,
    unreadable,
)
from ktt_core.errors import DataError

__all__ = ["open_json", "open_json_lines"]

_CHUNK_ROWS = 8_192
_CHUNK_BYTES = 4 * 1024**2
_READ = 1024**2

_SPACES = re.compile(r"[ \t\r\n]*")

_DECODER = json.JSONDecoder()

# Marks a row that is not JSON, and the end; no JSON value is either.
_BROKEN = object()

#: A row's value and its size in bytes or characters.
Record = tuple[Any, int]

_END = object()


def open_json(path: Path, wanted: Wanted) -> Source:
    """Open a JSON file: an array of objects, or one object per line.

    Raises
    ------
    DataError
        If it cannot be read or is neither.
    """
    with open_text(path) as file:
        start = file.head.lstrip()
        if start.startswith(b"["):
            return _open(path, wanted, _array)
        first = start.split(b"\n", 1)[0]
        if start.startswith(b"{") and isinstance(_parse(first), dict):
            return _open(path, wanted, _lines)
    raise unreadable(path, "it must hold an array of objects, [{...}, ...], or one object a line")


def open_json_lines(path: Path, wanted: Wanted) -> Source:
    """Open a file with one JSON object per line. Blank lines are not counted as rows.

    Raises
    ------
    DataError
        If it cannot be read or is an array.
    """
    with open_text(path) as file:
        if file.head.lstrip().startswith(b"["):
            raise unreadable(
                path, "it holds an array, not one object a line; let its name end in .json"
            )
    return _open(path, wanted, _lines)


def _open(path: Path, wanted: Wanted, records: Callable[[TextFile], Iterator[Record]]) -> Source:
    chunks = _chunks(path, wanted, records)
    locate = partial(_locate, path) if records is _lines else None
    return Source(chunks, path.stat().st_size, "bytes", locate)


def _locate(path: Path, rows: Iterable[int]) -> dict[int, int]:
    """Return the lines at which rows begin; blank lines are not rows."""
    wanted = set(rows)
    found: dict[int, int] = {}
    row = 0
    with open_text(path) as file, reading(path):
        for number, line in enumerate(lines(file), start=1):
            if len(found) == len(wanted):
                break
            row += not line.isspace()
            if row in wanted:
                found.setdefault(row, number)
    return found


def _parse(line: bytes) -> Any:
    # Bytes that are not UTF-8 become lone surrogates, which no valid text holds: only this row is
    # rejected, not the file.
    text = line.decode("utf-8", "surrogateescape").strip(" \t\r\n")
    try:
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return _BROKEN
    return value if end == len(text) else _BROKEN


def _lines(file: TextFile) -> Iterator[Record]:
    number = 0
    while line := file.stream.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) > MAX_ROW_BYTES:
            raise row_too_long(file.path.name, f"line {number:,}")
        _check_values(file, line, f"line {number:,}")
        if line.isspace():
            continue
        yield _parse(line), len(line)


def _check_values(file: TextFile, text: bytes | str, row: str) -> None:
    """Refuse a row that has more than `MAX_ROW_VALUES` values. Short ones cannot."""
    if len(text) <= _CHUNK_BYTES:
        return
    marks = (b",", b"[", b"{") if isinstance(text, bytes) else (",", "[", "{")
    if sum(map(text.count, marks)) > MAX_ROW_VALUES:  # type: ignore[arg-type]
        raise DataError(
            f"{row} of {file.path.name} has more than {MAX_ROW_VALUES:,} values, the most that one "
            "row may have. Shorten it or leave it out"
        )


def _array(file: TextFile) -> Iterator[Record]:
    """Yield an array's elements, with one read and one element of the file in memory."""
    decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
    buffer, at, row, ended, size = "", 0, 0, False, _READ
    while True:
        at = _after_spaces(buffer, at)
        mark = buffer[at : at + 1]
        if mark == "]" and row:
            _check_end(file, buffer[at + 1 :] + decode(file.stream.read(_READ)))
            return
        if mark not in ("", "," if row else "["):
            raise unreadable(file.path, f"after row {row:,} of the array there is {mark!r}")
        begin = _after_spaces(buffer, at + 1)
        if not row and buffer[begin : begin + 1] == "]":
            _check_end(file, buffer[begin + 1 :] + decode(file.stream.read(_READ)))
            return
        if len(buffer) - at > MAX_ROW_BYTES and size > _READ:
            raise row_too_long(file.path.name, f"row {row + 1:,}")
        if size > _READ:
            _check_values(file, buffer, f"row {row + 1:,}")
        try:
            value, end = _DECODER.raw_decode(buffer, begin)
        except RecursionError as error:
            raise unreadable(
                file.path, f"row {row + 1:,} of the array is nested too deeply"
            ) from error
        except ValueError as error:
            if ended:
                problem = (
                    f"row {row + 1:,} of the array is not JSON, or the file is cut off ({error})"
                )
                raise unreadable(file.path, problem) from error
            end = len(buffer)
        if end < len(buffer) or (ended and mark):
            row += 1
            size = _READ
            yield value, end - at
            at = end
            continue
        # An element at the end of the buffer may be incomplete.
        data = file.stream.read(size)
        ended = not data
        buffer, at, size = buffer[at:] + decode(data, final=ended), 0, size * 2


def _after_spaces(buffer: str, start: int) -> int:
    spaces = _SPACES.match(buffer, start)
    assert spaces is not None, "none is a match too"
    return spaces.end()


def _check_end(file: TextFile, rest: str) -> None:
    if rest.strip():
        raise unreadable(file.path, f"after the array there is {rest.strip()[:20]!r}")


def _chunks(
    path: Path, wanted: Wanted, records: Callable[[TextFile], Iterator[Record]]
) -> Iterator[Chunk]:
    row = 0
    # The first rows' keys, until they are checked; of other rows only the wanted ones are kept.
    keys: dict[str, None] | None = {}
    names = wanted.names
    with open_text(path) as file:
        stream = records(file)
        ended = False
        while not ended:
            objects: list[dict[str, Any]] = []
            rows: list[int] = []
            broken: list[tuple[int, str]] = []
            size = 0
            while len(rows) + len(broken) < _CHUNK_ROWS and size < _CHUNK_BYTES:
                try:
                    value, length = next(stream, (_END, 0))
                except READ_ERRORS as error:
                    raise unreadable(path, f"{error} (after row {row:,})") from error
                if value is _END:
                    ended = True
                    break
                row += 1
                size += length
                if isinstance(value, dict):
                    if keys is not None:
                        keys.update(dict.fromkeys(value))
                    objects.append({name: value[name] for name in names if name in value})
                    rows.append(row)
                else:
                    broken.append((row, BROKEN_ROW))
            if keys is not None and objects:
                check_objects(wanted, list(keys), objects[0], path.name)
                keys = None
            yield chunk_of_objects(wanted, objects, rows, broken, file.raw.tell())
