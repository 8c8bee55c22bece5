"""How many rows of a Parquet file may be decoded at once.

pyarrow takes a number of rows and allocates what they need: a value of a dictionary again for every
row that names it, a page whatever its header says. The bounds here come from the page headers; the
pages themselves are only looked into where the headers cannot tell.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ktt_core.datasets.parquet_pages import (
    DATA_PAGE,
    DICTIONARY_PAGE,
    Page,
    PageError,
    pages_of,
    read_page,
    read_repetitions,
)
from ktt_core.datasets.row_sizes import INTEGER_BYTES, MAX_ROW_BYTES, row_too_long
from ktt_core.errors import DataError

__all__ = ["rows_at_once", "wanted_leaves"]

#: Bytes that a batch may take when decoded, by its bound; a single row may reach the second.
_BATCH_BYTES = 32 * 1024**2
_SINGLE_BYTES = 160 * 1024**2

#: Bytes that the pages being decoded may take together, of all wanted columns.
_PAGES_BYTES = 160 * 1024**2

# Pages up to this size are not looked into for their longest value: their size is the bound.
_SMALL_PAGE = 4 * 1024**2

# Bytes beside its text that a value takes while it is decoded: levels, offsets, pointers.
_VALUE_BYTES = 16

_LEVELS_AT_ONCE = 1024**2


def wanted_leaves(schema: pq.ParquetSchema, names: Sequence[str]) -> list[int]:
    """Return the numbers of the columns that pyarrow reads for these names."""
    return [
        index
        for index in range(len(schema))
        if any(f"{schema.column(index).path}.".startswith(f"{name}.") for name in names)
    ]


def rows_at_once(
    file: BinaryIO,
    schema: pq.ParquetSchema,
    group: pq.RowGroupMetaData,
    leaves: Sequence[int],
    most: int,
    where: str,
) -> int:
    """Return how many rows of a row group may be decoded at once, at most `most`.

    Parameters
    ----------
    file : binary file
    schema : pyarrow ParquetSchema
    group : pyarrow RowGroupMetaData
    leaves : sequence of int
        `wanted_leaves`.
    most : int
    where : str
        The file and the rows of the group, for messages.

    Raises
    ------
    DataError
        If a row is too long, or the pages are too large.
    PageError
        If a page is damaged.
    """
    columns = [_Column(file, group.column(leaf), schema.column(leaf)) for leaf in leaves]
    pages = sum(column.page_bytes for column in columns)
    if pages > _PAGES_BYTES:
        raise DataError(
            f"{where} have pages that take {pages / 1024**2:,.0f} MiB of memory, more than "
            f"{_PAGES_BYTES // 1024**2} (the file may have any size). Write the file again with "
            "pages of 1 MiB (pyarrow: data_page_size=2**20, dictionary_pagesize_limit=2**20)"
        )
    for look in (_Column.look_at_dictionary, _Column.look_at_data):
        if sum(column.whole for column in columns) <= _BATCH_BYTES:
            return most
        for column in columns:
            look(column)
    rows = most
    while (size := sum(column.bound(rows) for column in columns)) > _BATCH_BYTES and rows > 1:
        rows //= 2
    if size > _SINGLE_BYTES or max(column.longest for column in columns) > MAX_ROW_BYTES:
        raise row_too_long(where, "a row")
    return rows


class _Column:
    """What the pages of a column of a row group say about the size of its values."""

    def __init__(
        self, file: BinaryIO, chunk: pq.ColumnChunkMetaData, schema: pq.ColumnSchema
    ) -> None:
        self._file = file
        self._chunk = chunk
        self._schema = schema
        self._is_text = schema.physical_type == "BYTE_ARRAY"
        self._is_list = schema.max_repetition_level > 0
        #: The longest value that was seen.
        self.longest = 0
        # Values in all, and those that are indices; bytes of pages with texts.
        self._values = self._indices = self._plain = self._by_prefix = 0
        # Bounds on the longest value, by where it is stored.
        self._in_dictionary = self._in_plain = self._in_delta = 0
        # The most values of a row; the rows that begin in each page, and the bytes of its texts.
        self._elements = 1
        self._rows = array("q")
        self._sizes = array("q")
        data = dictionary = 0
        for page in pages_of(file, chunk):
            taken = page.stored + page.size * (chunk.compression != "UNCOMPRESSED")
            if not page.is_data:
                dictionary = max(dictionary, taken + _VALUE_BYTES * page.values)
                # Each value has its length before it.
                self._in_dictionary = max(self._in_dictionary, page.size - 4 * page.values)
                continue
            data = max(data, taken)
            self._values += page.values
            if page.is_indices:
                self._indices += page.values
            elif page.is_delta:
                # A value may repeat all of the page before it.
                self._in_delta = max(self._in_delta, page.size)
                self._by_prefix += page.values * page.size
            else:
                self._plain += page.size
        #: What its largest page takes, with the dictionary.
        self.page_bytes = data + dictionary
        if not self._is_text:
            self._in_dictionary = self._in_delta = self._by_prefix = 0

    @property
    def _value_bytes(self) -> int:
        return _VALUE_BYTES + INTEGER_BYTES * (not self._is_text)

    @property
    def whole(self) -> int:
        """The most bytes that all values can take."""
        expanded = self._indices * self._in_dictionary + self._by_prefix
        return self._values * self._value_bytes + self._plain + expanded

    def look_at_dictionary(self) -> None:
        """Find the longest value of the dictionary."""
        page = next(iter(pages_of(self._file, self._chunk)), None)
        if self._is_text and page is not None and page.kind == DICTIONARY_PAGE:
            data = read_page(self._file, page, self._chunk.compression)
            self._in_dictionary = self.longest = _longest(data, 0, page.values)

    def look_at_data(self) -> None:
        """Find the longest values of large pages, and how many rows each page of lists has."""
        begun = _Rows()
        for page in pages_of(self._file, self._chunk):
            if not page.is_data:
                continue
            has_texts = self._is_text and not page.is_indices
            long = has_texts and page.is_plain and page.size > _SMALL_PAGE
            if self._is_list:
                levels = read_repetitions(self._file, page, self._chunk.compression)
                begun.add(levels, page.values)
            self._rows.append(begun.take() if self._is_list else page.values)
            self._sizes.append(page.size * has_texts)
            if long:
                data = read_page(self._file, page, self._chunk.compression)
                start = _after_levels(data, page, self._schema)
                self.longest = max(self.longest, _longest(data, start, page.values))
            self._in_plain = max(self._in_plain, self.longest if long else page.size * has_texts)
        self._elements = max(begun.longest, begun.open, 1)

    def bound(self, rows: int) -> int:
        """Return the most bytes that so many consecutive rows can take."""
        values = min(rows * self._elements, self._values)
        expanded = values * max(self._in_dictionary, self._in_delta)
        plain = min(self._bytes_of_pages(rows), values * self._in_plain)
        return values * self._value_bytes + expanded + plain

    def _bytes_of_pages(self, rows: int) -> int:
        """Return the most bytes of the pages that so many consecutive rows can lie in."""
        ends = np.cumsum(np.asarray(self._rows, np.int64))
        sizes = np.cumsum(np.asarray([0, *self._sizes], np.int64))
        # From the last row that begins in a page. A list ends where the next one begins.
        last = np.searchsorted(ends, ends + rows - 2 + self._is_list, side="right")
        return int((sizes[np.minimum(last + 1, len(ends))] - sizes[:-1]).max(initial=0))


@dataclass
class _Rows:
    """Rows that begin in pages of lists, by their repetition levels: 0 begins a row."""

    begun: int = 0
    longest: int = 0
    open: int = 0

    def take(self) -> int:
        """Return the rows that began since the last call."""
        begun, self.begun = self.begun, 0
        return begun

    def add(self, levels: memoryview, count: int) -> None:
        """Add a page's levels: runs of one level, and groups of eight levels of one bit each."""
        at = 0
        while count > 0:
            header, at = _varint(levels, at)
            if header & 1:
                packed = np.frombuffer(levels[at : at + (header >> 1)], np.uint8)
                if len(packed) < min(header >> 1, -(-count // 8)) or not len(packed):
                    raise PageError("the levels of a page are cut off")
                at += header >> 1
                for start in range(0, len(packed), _LEVELS_AT_ONCE):
                    part = packed[start : start + _LEVELS_AT_ONCE]
                    levels_of_part = np.unpackbits(part, bitorder="little")[:count]
                    count -= len(levels_of_part)
                    self._add_packed(np.flatnonzero(levels_of_part == 0), len(levels_of_part))
            else:
                run = min(header >> 1, count)
                if at >= len(levels) or not run:
                    raise PageError("the levels of a page are cut off")
                count -= run
                if levels[at]:
                    self.open += run
                else:
                    self.begun += run
                    self.longest = max(self.longest, self.open)
                    self.open = 1
                at += 1

    def _add_packed(self, starts: NDArray[np.int64], count: int) -> None:
        if not len(starts):
            self.open += count
            return
        self.begun += len(starts)
        gaps = np.diff(starts).max(initial=0)
        self.longest = max(self.longest, self.open + int(starts[0]), int(gaps))
        self.open = count - int(starts[-1])


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 35, 7):
        if at >= len(data):
            break
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise PageError("the levels of a page are damaged")


def _after_levels(data: memoryview, page: Page, schema: pq.ColumnSchema) -> int:
    at = 0
    if page.kind != DATA_PAGE:
        return at
    for levels in (schema.max_repetition_level, schema.max_definition_level):
        if levels:
            at += 4 + int.from_bytes(data[at : at + 4], "little")
    return at


def _longest(data: memoryview, at: int, count: int) -> int:
    """Return the longest of the values that follow each other, each after its length."""
    longest = 0
    end = len(data)
    read = struct.Struct("<I").unpack_from
    for _ in range(count):
        if at + 4 > end:
            break
        (length,) = read(data, at)
        if length > longest:
            longest = length
        at += 4 + length
    # The last length may be a damaged one.
    return min(longest, end)
