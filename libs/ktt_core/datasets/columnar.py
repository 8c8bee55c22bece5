"""Columnar sources: Parquet, and Arrow IPC (Feather)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from ktt_core.datasets.arrow_messages import MAGIC, MessageError, check_messages
from ktt_core.datasets.chunks import CHUNK_ROWS, Chunk, Source, Wanted, missing_columns, normalise
from ktt_core.datasets.parquet_batches import rows_at_once, wanted_leaves
from ktt_core.datasets.parquet_pages import PageError
from ktt_core.datasets.row_sizes import MAX_ROW_BYTES, cut_batch
from ktt_core.errors import DataError

__all__ = ["open_arrow", "open_parquet"]

#: The longest footer of a Parquet file.
_FOOTER_BYTES = 64 * 1024**2

# A damaged column name raises UnicodeDecodeError.
_READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError, PageError, MessageError)


def open_parquet(path: Path, wanted: Wanted) -> Source:
    """Open a Parquet file.

    Raises
    ------
    DataError
        If it cannot be read, or lacks a wanted column.
    """
    try:
        _check_footer(path)
        # Without pyarrow's prefetching: a column chunk can be as large as the file.
        file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1024**2)
    except _READ_ERRORS as error:
        raise _unreadable(path, "Parquet", error) from error
    missing_columns(wanted, file.schema_arrow.names, path.name)
    _check_types(wanted, file.schema_arrow, path.name)
    return Source(_parquet_chunks(path, file, wanted), file.metadata.num_rows, "rows")


def _check_footer(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(max(file.seek(0, 2) - 8, 0))
        length = int.from_bytes(file.read(4), "little")
    if length > _FOOTER_BYTES:
        raise PageError(f"its footer is longer than {_FOOTER_BYTES // 1024**2} MiB")


def _check_types(wanted: Wanted, schema: pa.Schema, where: str) -> None:
    types = {name: schema.field(name).type for name in wanted.names}
    columns = [pa.nulls(0, kind) for kind in types.values()]
    normalise(wanted, pa.RecordBatch.from_arrays(columns, list(types)), where)


def _parquet_chunks(path: Path, file: pq.ParquetFile, wanted: Wanted) -> Iterator[Chunk]:
    read = 0
    with file:
        try:
            for batch in _gathered(_parquet_batches(path, file, list(wanted.names))):
                for part in cut_batch(batch, CHUNK_ROWS, path.name, _row_after(read)):
                    columns = normalise(wanted, part, path.name)
                    rows = np.arange(read + 1, read + part.num_rows + 1)
                    read += part.num_rows
                    yield Chunk(columns, rows, done=read)
        except _READ_ERRORS as error:
            raise _unreadable(path, "Parquet", error) from error


def _parquet_batches(
    path: Path, file: pq.ParquetFile, names: list[str]
) -> Iterator[pa.RecordBatch]:
    leaves = wanted_leaves(file.schema, names)
    end = 0
    with path.open("rb") as raw:
        for index in range(file.num_row_groups):
            group = file.metadata.row_group(index)
            begin, end = end, end + group.num_rows
            where = f"rows {begin + 1:,} to {end:,} of {path.name}"
            rows = rows_at_once(raw, file.schema, group, leaves, CHUNK_ROWS, where)
            for batch in file.iter_batches(rows, [index], names, use_threads=False):
                yield batch.select(names)


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Join batches up to the size of a chunk: row groups, and those of long texts, may be small."""
    held: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if held and (rows + batch.num_rows > CHUNK_ROWS or size + batch.nbytes > MAX_ROW_BYTES):
            yield pa.concat_batches(held)
            held, rows, size = [], 0, 0
        held.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
    if held:
        yield pa.concat_batches(held)


def open_arrow(path: Path, wanted: Wanted) -> Source:
    """Open an Arrow IPC file (Feather version 2) or stream.

    Raises
    ------
    DataError
        If it cannot be read, or lacks a wanted column.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(6)
    except OSError as error:
        raise _unreadable(path, "Arrow", error) from error
    if magic.startswith(b"FEA1"):
        raise DataError(
            f"{path} is a Feather file of version 1: save it again as version 2, or as Parquet"
        )
    try:
        schema = _arrow_schema(path, magic)
        names = schema.names
        missing_columns(wanted, names, path.name)
        _check_types(wanted, schema, path.name)
        check_messages(path, schema, wanted.names)
    except _READ_ERRORS as error:
        raise _unreadable(path, "Arrow", error) from error
    return Source(_arrow_chunks(path, magic, wanted, names), path.stat().st_size, "bytes")


def _arrow_schema(path: Path, magic: bytes) -> pa.Schema:
    with pa.OSFile(str(path)) as file:
        return (ipc.open_file(file) if magic == MAGIC else ipc.open_stream(file)).schema


def _arrow_chunks(path: Path, magic: bytes, wanted: Wanted, names: list[str]) -> Iterator[Chunk]:
    options = ipc.IpcReadOptions(
        included_fields=sorted(names.index(name) for name in wanted.names), use_threads=False
    )
    read = 0
    with pa.OSFile(str(path)) as file:
        try:
            for batch in _arrow_batches(file, magic, options):
                selected = batch.select(list(wanted.names))
                for part in cut_batch(selected, CHUNK_ROWS, path.name, _row_after(read)):
                    columns = normalise(wanted, part, path.name)
                    rows = np.arange(read + 1, read + part.num_rows + 1)
                    read += part.num_rows
                    yield Chunk(columns, rows, done=file.tell())
        except _READ_ERRORS as error:
            raise _unreadable(path, "Arrow", error) from error


def _arrow_batches(
    file: pa.NativeFile, magic: bytes, options: ipc.IpcReadOptions
) -> Iterator[pa.RecordBatch]:
    if magic != MAGIC:
        yield from ipc.open_stream(file, options=options)
        return
    reader = ipc.open_file(file, options=options)
    for index in range(reader.num_record_batches):
        yield reader.get_batch(index)


def _row_after(read: int) -> Callable[[int], str]:
    return lambda index: f"row {read + 1 + index:,}"


def _unreadable(path: Path, kind: str, error: BaseException) -> DataError:
    lines = str(error).splitlines()
    return DataError(
        f"{path} cannot be read as {kind}: {lines[0][:200] if lines else type(error).__name__}. "
        "It may be cut off or of another format: fetch or write it again"
    )
