"""JSON sources: an array of objects, or one object per line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ktt_core.datasets.chunks import BROKEN_ROW, Chunk, Source, Wanted
from ktt_core.datasets.objects import check_objects, chunk_of_objects
from ktt_core.datasets.textfiles import READ_ERRORS, TextFile, open_text, reading, unreadable

__all__ = ["open_json", "open_json_lines"]

#: The longest row, in characters or bytes.
MAX_RECORD = 64 * 1024**2

_CHUNK_ROWS = 8_192
_CHUNK_BYTES = 16 * 1024**2
_READ = 1024**2

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
        for number, line in enumerate(file.stream, start=1):
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
    while line := file.stream.readline(MAX_RECORD):
        number += 1
        if len(line) == MAX_RECORD:
            raise unreadable(
                file.path, f"line {number:,} is longer than {MAX_RECORD // 1024**2} MiB"
            )
        if line.isspace():
            continue
        yield _parse(line), len(line)


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
        try:
            value, end = _DECODER.raw_decode(buffer, begin)
        except RecursionError as error:
            raise unreadable(
                file.path, f"row {row + 1:,} of the array is nested too deeply"
            ) from error
        except ValueError as error:
            if ended or len(buffer) > MAX_RECORD:
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
    while start < len(buffer) and buffer[start] in " \t\r\n":
        start += 1
    return start


def _check_end(file: TextFile, rest: str) -> None:
    if rest.strip():
        raise unreadable(file.path, f"after the array there is {rest.strip()[:20]!r}")


def _chunks(
    path: Path, wanted: Wanted, records: Callable[[TextFile], Iterator[Record]]
) -> Iterator[Chunk]:
    row = 0
    first = True
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
                    objects.append(value)
                    rows.append(row)
                else:
                    broken.append((row, BROKEN_ROW))
            if first and objects:
                check_objects(wanted, objects, path.name)
                first = False
            yield chunk_of_objects(wanted, objects, rows, broken, file.raw.tell())
