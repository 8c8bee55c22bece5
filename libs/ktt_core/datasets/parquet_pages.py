"""The pages of a Parquet file, as their headers declare them.

A page's size when decompressed stands in its header alone (the footer's totals may be anything),
and a reader allocates it. So the headers are read first: a Thrift struct in the compact protocol
before each page (https://github.com/apache/parquet-format, ``PageHeader``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = [
    "DATA_PAGE",
    "DICTIONARY_PAGE",
    "Page",
    "PageError",
    "pages_of",
    "read_page",
    "read_repetitions",
]

DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_2 = 0, 2, 3

# The encodings whose values are indices into the dictionary.
_INDICES = (2, 8)
_DELTA_BYTE_ARRAY = 7

#: A header has statistics: the smallest and largest value.
_MAX_HEADER = 16 * 1024**2


class PageError(Exception):
    """A page header that is damaged."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page.

    Attributes
    ----------
    kind : int
        `DATA_PAGE`, `DICTIONARY_PAGE` or `DATA_PAGE_2`; others hold no values.
    values : int
        Number of values, including nulls.
    encoding : int
    size : int
        Bytes when decompressed.
    offset, stored : int
        Position and bytes in the file, without the header.
    levels : int
        Bytes of the levels of a `DATA_PAGE_2`, which are not compressed.
    repetitions : int
        Those of the repetition levels.
    compressed : bool
    """

    kind: int
    values: int
    encoding: int
    size: int
    offset: int
    stored: int
    levels: int = 0
    repetitions: int = 0
    compressed: bool = True

    @property
    def is_data(self) -> bool:
        """Whether it is a page of values, not of the dictionary."""
        return self.kind in (DATA_PAGE, DATA_PAGE_2)

    @property
    def is_plain(self) -> bool:
        """Whether its values are stored one after the other, each after its length."""
        return self.encoding == 0 or (self.kind == DICTIONARY_PAGE and self.is_indices)

    @property
    def is_indices(self) -> bool:
        """Whether its values are indices into the dictionary."""
        return self.encoding in _INDICES

    @property
    def is_delta(self) -> bool:
        """Whether its values are given as a prefix of the previous one, and a suffix."""
        return self.encoding == _DELTA_BYTE_ARRAY


def pages_of(file: BinaryIO, column: pq.ColumnChunkMetaData) -> Iterator[Page]:
    """Yield the pages of a column of a row group, from the place at which pyarrow begins.

    Raises
    ------
    PageError
        If a header is damaged.
    """
    at = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < at:
        at = column.dictionary_page_offset
    # The reader ends by the number of values, so the length does not bound it.
    missing = column.num_values
    while missing > 0:
        header, length = _read_header(file, at)
        page = _page(header, at + length)
        yield page
        missing -= page.values * page.is_data
        at += length + page.stored


def read_page(file: BinaryIO, page: Page, codec: str) -> memoryview:
    """Return a page, decompressed; without the levels of a `DATA_PAGE_2`.

    Raises
    ------
    PageError
        If it cannot be decompressed.
    """
    file.seek(page.offset + page.levels)
    data = file.read(page.stored - page.levels)
    if codec == "UNCOMPRESSED" or not page.compressed:
        return memoryview(data)
    # Both of Parquet's LZ4 codecs have this name.
    name = "lz4_raw" if codec == "LZ4" else codec.lower()
    try:
        return memoryview(pa.Codec(name).decompress(data, page.size - page.levels)).cast("B")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise PageError(f"a page cannot be decompressed ({error})") from error


def read_repetitions(file: BinaryIO, page: Page, codec: str) -> memoryview:
    """Return the repetition levels of a page of lists.

    Raises
    ------
    PageError
        If it cannot be decompressed.
    """
    if page.kind == DATA_PAGE_2:
        file.seek(page.offset)
        return memoryview(file.read(page.repetitions))
    data = read_page(file, page, codec)
    return data[4 : 4 + int.from_bytes(data[:4], "little")]


def _page(header: dict[int, Any], offset: int) -> Page:
    kind, size, stored = (_number(header, field) for field in (1, 2, 3))
    values = encoding = levels = repetitions = 0
    compressed = True
    if kind in (DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_2):
        details = header.get({DATA_PAGE: 5, DICTIONARY_PAGE: 7, DATA_PAGE_2: 8}[kind])
        if not isinstance(details, dict):
            raise PageError("a page's header lacks its details")
        values = _number(details, 1)
        encoding = _number(details, 4 if kind == DATA_PAGE_2 else 2)
        if kind == DATA_PAGE_2:
            repetitions = _number(details, 6)
            levels = repetitions + _number(details, 5)
            compressed = details.get(7, True) is True
    if levels > min(size, stored):
        raise PageError("a page's levels are longer than the page")
    return Page(kind, values, encoding, size, offset, stored, levels, repetitions, compressed)


def _number(fields: dict[int, Any], field: int) -> int:
    number = fields.get(field)
    if type(number) is not int or not 0 <= number < 2**31:
        raise PageError(f"field {field} of a page's header is {number!r}")
    return number


def _read_header(file: BinaryIO, at: int) -> tuple[dict[int, Any], int]:
    """Return the header's fields by number, and its length."""
    size = 256
    while True:
        file.seek(at)
        data = file.read(size)
        reader = _Thrift(data)
        try:
            return reader.struct(), reader.at
        except IndexError:
            if len(data) < size or size >= _MAX_HEADER:
                raise PageError("a page's header is cut off") from None
            size *= 16


class _Thrift:
    """A reader of the compact protocol; raises IndexError where the data end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            delta, kind = kind >> 4, kind & 15
            number = number + delta if delta else self._signed()
            if number in fields:
                raise PageError(f"a page's header has field {number} twice")
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > 8:
            raise PageError("a page's header is nested too deeply")
        if kind in (1, 2, 3):
            return self._byte() == 1
        if kind in (4, 6):
            # Kept apart from the 32-bit numbers that the known fields are.
            return float(self._signed())
        if kind == 5:
            return self._signed()
        if kind in (7, 8):
            return self._skip(8 if kind == 7 else self._unsigned())
        if kind in (9, 10):
            size = self._byte()
            count = size >> 4 if size >> 4 < 15 else self._unsigned()
            for _ in range(count):
                self._value(size & 15, depth + 1)
            return None
        if kind == 12:
            return self.struct(depth + 1)
        raise PageError(f"a page's header has a field of type {kind}")

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self._data):
            raise IndexError

    def _byte(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise PageError("a number of a page's header is too long")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
