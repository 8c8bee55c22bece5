"""JSON sources: an array of objects, or one object a line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ktt_core.datasets.chunks import (
    BROKEN_ROW,
    LIST,
    TEXT,
    Chunk,
    Source,
    Wanted,
    lists_not_text,
    missing_columns,
    text_not_lists,
)
from ktt_core.datasets.textfiles import READ_ERRORS, TextFile, open_text, unreadable

__all__ = ["NOT_TEXT", "open_json", "open_json_lines"]

NOT_TEXT = "not text"

#: The longest row there can be, in characters or bytes.
MAX_RECORD = 64 * 1024**2

_CHUNK_ROWS = 8_192
_CHUNK_BYTES = 16 * 1024**2
_READ = 1024**2

# What stands for a row that is not JSON; no JSON value is equal to it.
_BROKEN = object()

#: A row's value and its size in bytes or characters.
Record = tuple[Any, int]


def open_json(path: Path, wanted: Wanted) -> Source:
    """Open a JSON file: an array of objects, or else one object a line.

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
    """Open a file with one JSON object a line. Blank lines are not counted.

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
    return Source(_chunks(path, wanted, records), path.stat().st_size, "bytes")


def _parse(line: bytes) -> Any:
    # Bytes that are not UTF-8 become lone surrogates, which no valid text holds: they mark one row,
    # not the file.
    try:
        return json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return _BROKEN


def _lines(file: TextFile) -> Iterator[Record]:
    row = 0
    while line := file.stream.readline(MAX_RECORD):
        if line.isspace():
            continue
        row += 1
        if len(line) == MAX_RECORD:
            raise unreadable(file.path, f"row {row:,} is longer than {MAX_RECORD // 1024**2} MiB")
        yield _parse(line), len(line)


def _array(file: TextFile) -> Iterator[Record]:
    """Yield an array's elements, holding no more of the file than one read and one element."""
    decode = codecs.getincrementaldecoder("utf-8")("surrogateescape").decode
    scanner = json.JSONDecoder()
    buffer, at, row, ended, size = "", 0, 0, False, _READ
    while True:
        at = _after_spaces(buffer, at)
        mark = buffer[at : at + 1]
        if mark == "]" and row:
            _check_end(file, buffer[at + 1 :] + decode(file.stream.read(_READ)))
            return
        if mark not in ("", "," if row else "["):
            raise unreadable(file.path, f"after row {row:,} of the array stands {mark!r}")
        begin = _after_spaces(buffer, at + 1)
        if not row and buffer[begin : begin + 1] == "]":
            _check_end(file, buffer[begin + 1 :] + decode(file.stream.read(_READ)))
            return
        try:
            value, end = scanner.raw_decode(buffer, begin)
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
        # An element that reaches the end of what was read may go on.
        data = file.stream.read(size)
        ended = not data
        buffer, at, size = buffer[at:] + decode(data, final=ended), 0, size * 2


def _after_spaces(buffer: str, start: int) -> int:
    while start < len(buffer) and buffer[start] in " \t\r\n":
        start += 1
    return start


def _check_end(file: TextFile, rest: str) -> None:
    if rest.strip():
        raise unreadable(file.path, f"after the array stands {rest.strip()[:20]!r}")


def _chunks(
    path: Path, wanted: Wanted, records: Callable[[TextFile], Iterator[Record]]
) -> Iterator[Chunk]:
    row = 0
    with open_text(path) as file:
        builder = _Builder(wanted, path.name)
        try:
            for value, size in records(file):
                row += 1
                builder.add(row, value, size)
                if builder.full:
                    yield builder.chunk(file.raw.tell())
                    builder = _Builder(wanted, path.name, first=False)
        except READ_ERRORS as error:
            raise unreadable(path, f"{error} (after row {row:,})") from error
        yield builder.chunk(file.raw.tell())


class _Builder:
    """Collects objects into one chunk."""

    def __init__(self, wanted: Wanted, where: str, first: bool = True) -> None:
        self._wanted = wanted
        self._where = where
        self._first = first
        self._seen: dict[str, None] = {}
        self._rows: list[int] = []
        self._broken: list[tuple[int, str]] = []
        self._values: dict[str, list[Any]] = {name: [] for name in wanted.names}
        self._size = 0

    @property
    def full(self) -> bool:
        return len(self._rows) + len(self._broken) >= _CHUNK_ROWS or self._size >= _CHUNK_BYTES

    def add(self, row: int, value: Any, size: int) -> None:
        self._size += size
        if not isinstance(value, dict):
            self._broken.append((row, BROKEN_ROW))
            return
        if self._first and len(self._seen) < 1000:
            self._seen.update(dict.fromkeys(value))
        if not self._rows:
            self._check_shapes(value)
        try:
            cells: list[Any] = [_text(value.get(name)) for name in self._wanted.texts]
            cells += [_list(value.get(name)) for name in self._wanted.lists]
        except TypeError:
            self._broken.append((row, NOT_TEXT))
            return
        self._rows.append(row)
        for values, cell in zip(self._values.values(), cells, strict=True):
            values.append(cell)

    def _check_shapes(self, value: dict[str, Any]) -> None:
        for name in self._wanted.texts:
            if isinstance(value.get(name), list):
                raise lists_not_text(name, self._where)
        for name in self._wanted.lists:
            if isinstance(value.get(name), str):
                raise text_not_lists(name, self._where)

    def chunk(self, done: int) -> Chunk:
        if self._first and self._rows:
            missing_columns(self._wanted, list(self._seen), self._where)
        columns = {name: pa.array(self._values[name], TEXT) for name in self._wanted.texts}
        columns.update({name: pa.array(self._values[name], LIST) for name in self._wanted.lists})
        return Chunk(columns, np.array(self._rows, dtype=np.int64), self._broken, done)


def _text(value: Any) -> bytes | None:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if value is None or value != value:  # NaN
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode()
    raise TypeError


def _list(value: Any) -> list[bytes | None] | None:
    if isinstance(value, list):
        return [_text(item) for item in value]
    if value is None or value != value:
        return None
    raise TypeError
