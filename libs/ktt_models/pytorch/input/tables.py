"""Cached token ids or features of a split, with its codes, as one Arrow file each.

A file has a single record batch, so that its buffers can be mapped into memory and read as plain
arrays: ``tokens`` (a list of uint16, or int32 for vocabularies that need it) or ``features`` (a
list of float32 of fixed size), and ``codes`` (a list of int32 of fixed size); beside tokens ``cut``
(int32). The schema's metadata
says of what they were made, and carries a checksum of all buffers.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["DamagedCacheError", "FeatureTable", "TokenTable", "read_table", "write_table"]

_ABOUT = b"ktt"
_CHECKSUM = b"crc32"

IntArray = NDArray[np.integer]


class DamagedCacheError(Exception):
    """A cache file is damaged or outdated; handled within this package by creating it again."""


@dataclass(frozen=True)
class TokenTable:
    """The token ids of a split.

    Attributes
    ----------
    values : ndarray of uint16 or int32
        The concatenated ids of all rows.
    offsets : ndarray of int64, shape (n_rows + 1,)
        Start of each row in `values`, and the end of the last one.
    codes : ndarray of int32, shape (n_rows, depth)
    cut : ndarray of int32, shape (n_rows,)
        Number of ids that were cut from each row.
    """

    values: IntArray
    offsets: NDArray[np.int64]
    codes: NDArray[np.int32]
    cut: NDArray[np.int32]

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """Ids of every row, shape (n_rows,)."""
        return np.diff(self.offsets).astype(np.int32)

    def columns(self) -> dict[str, pa.Array]:
        """Return the Arrow columns, which share this table's memory."""
        tokens = pa.LargeListArray.from_arrays(pa.array(self.offsets), pa.array(self.values))
        return {"tokens": tokens, "codes": _fixed(self.codes), "cut": pa.array(self.cut)}

    @classmethod
    def of(cls, columns: Mapping[str, pa.Array]) -> TokenTable:
        """Return the table of columns, sharing their memory."""
        tokens = columns["tokens"]
        return cls(
            _plain(tokens.values),
            _plain(tokens.offsets),
            _rows(columns["codes"]),
            _plain(columns["cut"]),
        )


@dataclass(frozen=True)
class FeatureTable:
    """A frozen encoder's features of a split.

    Attributes
    ----------
    features : ndarray of float32, shape (n_rows, width)
    codes : ndarray of int32, shape (n_rows, depth)
    """

    features: NDArray[np.float32]
    codes: NDArray[np.int32]

    def columns(self) -> dict[str, pa.Array]:
        """Return the Arrow columns, which share this table's memory."""
        return {"features": _fixed(self.features), "codes": _fixed(self.codes)}

    @classmethod
    def of(cls, columns: Mapping[str, pa.Array]) -> FeatureTable:
        """Return the table of columns, sharing their memory."""
        return cls(_rows(columns["features"]), _rows(columns["codes"]))


def write_table(path: Path, columns: Mapping[str, pa.Array], about: Mapping[str, Any]) -> None:
    """Write columns as one Arrow file.

    Parameters
    ----------
    path : Path
    columns : mapping of str to pa.Array
    about : mapping
        Their inputs, as a JSON value; `read_table` requires the same value.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    checksum = f"{_checksum(batch):08x}"
    batch = batch.replace_schema_metadata({_ABOUT: _canonical(about), _CHECKSUM: checksum})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def read_table(path: Path, about: Mapping[str, Any]) -> dict[str, pa.Array]:
    """Map a file that `write_table` wrote for the same inputs; verifies its checksum.

    Raises
    ------
    FileNotFoundError
        If there is none.
    DamagedCacheError
        If it is damaged, or was created from other inputs.
    """
    try:
        with pa.memory_map(str(path), "r") as source, pa.ipc.open_file(source) as reader:
            if reader.num_record_batches != 1:
                raise DamagedCacheError(f"{reader.num_record_batches} record batches")
            batch = reader.get_batch(0)
        metadata = batch.schema.metadata or {}
        batch.validate(full=True)
        if metadata.get(_ABOUT) != _canonical(about):
            raise DamagedCacheError("it was made of something else")
        if metadata.get(_CHECKSUM) != f"{_checksum(batch):08x}".encode():
            raise DamagedCacheError("its checksum is wrong")
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedCacheError(str(error)) from error
    return {name: batch.column(place) for place, name in enumerate(batch.schema.names)}


def _canonical(about: Mapping[str, Any]) -> bytes:
    return json.dumps(about, sort_keys=True).encode()


def _checksum(batch: pa.RecordBatch) -> int:
    checksum = 0
    for column in batch.columns:
        for buffer in column.buffers():
            if buffer is not None:
                checksum = zlib.crc32(buffer, checksum)
    return checksum


def _fixed(array: NDArray[Any]) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])


def _plain(array: pa.Array) -> Any:
    return array.to_numpy(zero_copy_only=True)


def _rows(array: pa.FixedSizeListArray) -> Any:
    return _plain(array.values).reshape(len(array), array.type.list_size)
