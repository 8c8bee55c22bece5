"""Columnar sources: Parquet, and Arrow IPC (Feather)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

from ktt_core.datasets.chunks import CHUNK_ROWS, Chunk, Source, Wanted, missing_columns, normalise
from ktt_core.errors import DataError

__all__ = ["open_arrow", "open_parquet"]

# Bytes of text decoded at once. Parquet batches are counted in rows; long texts need smaller ones.
_BATCH_BYTES = 16 * 1024**2

# A damaged column name raises UnicodeDecodeError.
_READ_ERRORS = (pa.ArrowException, OSError, UnicodeDecodeError)


def open_parquet(path: Path, wanted: Wanted) -> Source:
    """Open a Parquet file.

    Raises
    ------
    DataError
        If it cannot be read, or lacks a wanted column.
    """
    try:
        # Without pyarrow's prefetching: a column chunk can be as large as the file.
        file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1024**2)
    except _READ_ERRORS as error:
        raise _unreadable(path, "Parquet", error) from error
    missing_columns(wanted, file.schema_arrow.names, path.name)
    return Source(_parquet_chunks(path, file, wanted), file.metadata.num_rows, "rows")


def _parquet_chunks(path: Path, file: pq.ParquetFile, wanted: Wanted) -> Iterator[Chunk]:
    read = 0
    with file:
        batches = file.iter_batches(
            _batch_rows(file.metadata), columns=list(wanted.names), use_threads=False
        )
        while True:
            try:
                batch = next(batches, None)
                columns = normalise(wanted, batch, path.name) if batch is not None else {}
            except _READ_ERRORS as error:
                raise _unreadable(path, "Parquet", error) from error
            if batch is None:
                return
            rows = np.arange(read + 1, read + batch.num_rows + 1)
            read += batch.num_rows
            yield Chunk(columns, rows, done=read)


def _batch_rows(metadata: pq.FileMetaData) -> int:
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    bytes_per_row = max((g.total_byte_size / max(g.num_rows, 1) for g in groups), default=1.0)
    return int(np.clip(_BATCH_BYTES / max(bytes_per_row, 1.0), 1, CHUNK_ROWS))


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
        names = _arrow_schema(path, magic).names
    except _READ_ERRORS as error:
        raise _unreadable(path, "Arrow", error) from error
    missing_columns(wanted, names, path.name)
    return Source(_arrow_chunks(path, magic, wanted, names), path.stat().st_size, "bytes")


def _arrow_schema(path: Path, magic: bytes) -> pa.Schema:
    with pa.OSFile(str(path)) as file:
        return (ipc.open_file(file) if magic == b"ARROW1" else ipc.open_stream(file)).schema


def _arrow_chunks(path: Path, magic: bytes, wanted: Wanted, names: list[str]) -> Iterator[Chunk]:
    options = ipc.IpcReadOptions(
        included_fields=sorted(names.index(name) for name in wanted.names), use_threads=False
    )
    read = 0
    with pa.OSFile(str(path)) as file:
        try:
            for batch in _arrow_batches(file, magic, options):
                for start in range(0, batch.num_rows, CHUNK_ROWS):
                    part = batch.slice(start, CHUNK_ROWS)
                    columns = normalise(wanted, part, path.name)
                    rows = np.arange(read + 1, read + part.num_rows + 1)
                    read += part.num_rows
                    yield Chunk(columns, rows, done=file.tell())
        except _READ_ERRORS as error:
            raise _unreadable(path, "Arrow", error) from error


def _arrow_batches(
    file: pa.NativeFile, magic: bytes, options: ipc.IpcReadOptions
) -> Iterator[pa.RecordBatch]:
    if magic != b"ARROW1":
        yield from ipc.open_stream(file, options=options)
        return
    reader = ipc.open_file(file, options=options)
    for index in range(reader.num_record_batches):
        yield reader.get_batch(index)


def _unreadable(path: Path, kind: str, error: BaseException) -> DataError:
    lines = str(error).splitlines()
    return DataError(
        f"{path} cannot be read as {kind}: {lines[0][:200] if lines else type(error).__name__}. "
        "It may be cut off or of another format: fetch or write it again"
    )
