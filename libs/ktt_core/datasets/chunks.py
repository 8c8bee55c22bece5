"""The chunks that every source yields: rows with the wanted columns, as text or lists of text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.row_sizes import is_list, list_offsets
from ktt_core.errors import DataError

__all__ = [
    "BROKEN_ROW",
    "CHUNK_ROWS",
    "LIST",
    "ONE_PATH",
    "TEXT",
    "Chunk",
    "Source",
    "Wanted",
    "lists_not_text",
    "missing_columns",
    "normalise",
    "only",
    "text_not_lists",
]

#: Largest number of rows in a chunk: large enough for vectorised work, small enough for the memory
#: bound.
CHUNK_ROWS = 16_384

BROKEN_ROW = "broken row"

#: Example of a list of classes, for messages.
ONE_PATH = '["A", "B"]'

#: Text stays bytes until it is validated as UTF-8, as a file may declare strings and hold any
#: bytes.
TEXT = pa.binary()
LIST = pa.list_(TEXT)


@dataclass(frozen=True)
class Wanted:
    """The columns an import reads: those of text, and those of lists of text."""

    texts: tuple[str, ...]
    lists: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: ImportOptions) -> Wanted:
        """Derive the columns from the import's options."""
        texts = [options.text, *options.level_columns]
        lists: list[str] = []
        if options.classes:
            (texts if options.sep is not None else lists).append(options.classes)
        if options.split_column:
            texts.append(options.split_column)
        return cls(tuple(texts), tuple(lists))

    @property
    def names(self) -> tuple[str, ...]:
        """All columns."""
        return self.texts + self.lists


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a source.

    Attributes
    ----------
    columns : mapping of str to pyarrow array
        Every wanted column: binary (text columns) or list of binary (list columns).
    rows : ndarray of int64, shape (n,)
        The rows' numbers in the source, from 1 and without headers.
    broken : sequence of (int, str)
        Numbers and reasons of unreadable rows, which are in no column.
    done : int
        Position in the source, in the source's unit.
    """

    columns: dict[str, pa.Array]
    rows: NDArray[np.int64]
    broken: Sequence[tuple[int, str]] = ()
    done: int = 0


@dataclass(frozen=True)
class Source:
    """An opened source.

    Attributes
    ----------
    chunks : iterator of Chunk
        In row order; can be iterated once.
    total : int
        Final value of `Chunk.done`.
    unit : str
        "rows" or "bytes".
    locate : callable or None
        Maps row numbers to the lines of the file at which they begin (from 1, including the
        header); None where the source has no lines.
    """

    chunks: Iterator[Chunk]
    total: int
    unit: str
    locate: Callable[[Iterable[int]], Mapping[int, int]] | None = None


def missing_columns(wanted: Wanted, there: Sequence[str], where: str) -> None:
    """Check that every wanted column exists exactly once.

    Raises
    ------
    DataError
        With the existing columns.
    """
    for name in wanted.names:
        if name not in there:
            shown = ", ".join(repr(column) for column in there[:30]) or "none"
            more = f" and {len(there) - 30} more" if len(there) > 30 else ""
            raise DataError(f"{where} has no column {name!r}; it has: {shown}{more}")
        if list(there).count(name) > 1:
            raise DataError(f"{where} has two columns {name!r}; rename one of them")


def text_not_lists(name: str, where: str) -> DataError:
    """Return the error for a column of text where lists are expected, as `sep` is missing."""
    return DataError(
        f"the column {name!r} of {where} holds plain text, not lists: say what separates the "
        f"levels (--sep ' > '), or, if it is a single level, use --level-columns {name}"
    )


def lists_not_text(name: str, where: str) -> DataError:
    """Return the error for a column of lists where text is expected."""
    return DataError(
        f"the column {name!r} of {where} holds lists: if it holds the classes, leave --sep out; "
        "else name a column of text"
    )


def normalise(wanted: Wanted, batch: pa.RecordBatch, where: str) -> dict[str, pa.Array]:
    """Convert a batch's columns to the two types of a `Chunk`.

    Raises
    ------
    DataError
        If a column holds something other than text.
    """
    columns = {name: _text(batch.column(name), name, where) for name in wanted.texts}
    columns.update({name: _lists(batch.column(name), name, where) for name in wanted.lists})
    return columns


def _text(column: pa.Array, name: str, where: str) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _text(column.cast(kind.value_type), name, where)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        raise lists_not_text(name, where)
    if pa.types.is_integer(kind):
        column = column.cast(pa.string())
    elif pa.types.is_null(kind):
        return pa.nulls(len(column), TEXT)
    elif not _is_text_like(kind):
        raise DataError(f"the column {name!r} of {where} holds {kind}, not text")
    return _validated(column.cast(TEXT))


def _lists(column: pa.Array, name: str, where: str) -> pa.Array:
    kind = column.type
    if pa.types.is_null(kind):
        return pa.nulls(len(column), LIST)
    if _is_text_like(kind) or pa.types.is_dictionary(kind):
        raise text_not_lists(name, where)
    if is_list(kind) and pa.types.is_nested(kind.value_type):
        raise DataError(
            f"the column {name!r} of {where} holds lists within lists: it must hold one path a "
            f"row, such as {ONE_PATH}"
        )
    if not is_list(kind) or not (_is_text_like(kind.value_type) or _is_plain(kind.value_type)):
        raise DataError(f"the column {name!r} of {where} holds {kind}, not lists of text")
    # The values of these rows only: a cast of a part of a batch would decode all of them.
    offsets = list_offsets(column)
    values = column.values.slice(offsets[0], offsets[-1] - offsets[0])
    offsets = pa.array((offsets - offsets[0]).astype(np.int32))
    missing = column.is_null() if column.null_count else None
    values = _text(values, name, where)
    return _validated(pa.ListArray.from_arrays(offsets, values, LIST, mask=missing))


def _is_text_like(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_binary_view(kind)
    )


def _is_plain(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_null(kind) or types.is_dictionary(kind))


def _validated(column: pa.Array) -> pa.Array:
    # A damaged file may have offsets outside its buffers. The bytes of texts are not checked here.
    column.validate(full=True)
    return column


def only(column: pa.Array, keep: NDArray[np.bool_]) -> pa.Array:
    """Return the rows where `keep` is true."""
    return column if keep.all() else pc.filter(column, pa.array(keep))
