"""The messages of an Arrow IPC file or stream: what they take when decompressed.

Each compressed buffer begins with its own size when decompressed, which a reader allocates. So the
messages' metadata are read first (https://arrow.apache.org/docs/format/Columnar.html,
"Serialization and Interprocess Communication"): tables of FlatBuffers, whose fields are numbered.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from ktt_core.errors import DataError

__all__ = ["MAGIC", "MessageError", "check_messages"]

MAGIC = b"ARROW1"

#: What a record batch may take when decompressed, with the dictionaries; and these alone.
_BATCH_BYTES = 256 * 1024**2
_DICTIONARY_BYTES = 64 * 1024**2

#: The metadata of one message, and of a file.
_METADATA_BYTES = 64 * 1024**2

_DICTIONARY, _RECORD_BATCH = 2, 3


class MessageError(Exception):
    """A message that is damaged."""


class _Block(NamedTuple):
    """Where a message is in a file."""

    offset: int
    metadata: int
    body: int


def check_messages(path: Path, schema: pa.Schema, wanted: Sequence[str]) -> None:
    """Check that no message takes too much memory.

    Parameters
    ----------
    path : Path
    schema : pyarrow Schema
    wanted : sequence of str
        The columns that are read.

    Raises
    ------
    DataError
        If a message takes too much memory.
    MessageError
        If one is damaged.
    OSError
        If the file cannot be read.
    """
    names = [name for field in schema for name in [field.name] * _buffers_of(field.type)]
    is_read = [name in wanted for name in names]
    dictionaries: dict[int, int] = {}
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        is_file = file.read(len(MAGIC)) == MAGIC
        for block in _blocks_of_file(file, size) if is_file else _blocks_of_stream(file, size):
            try:
                _check(file, size, block, is_read, is_file, dictionaries, path.name)
            except (struct.error, IndexError, OverflowError) as error:
                raise MessageError("a message is damaged") from error


def _check(
    file: BinaryIO,
    size: int,
    block: _Block,
    is_read: list[bool],
    is_file: bool,
    dictionaries: dict[int, int],
    where: str,
) -> None:
    message = _message(file, size, block)
    kind, header = message.number(1, "B"), message.table(2)
    if header is None or kind not in (_DICTIONARY, _RECORD_BATCH):
        return
    body = block.offset + block.metadata
    if kind == _DICTIONARY:
        identifier, data = header.number(0, "q"), header.table(1)
        if data is None:
            raise MessageError("a dictionary is empty")
        before = dictionaries.get(identifier, 0) if header.number(2, "?") else 0
        dictionaries[identifier] = before + _decompressed(file, size, body, data, [])
        _refuse_large(sum(dictionaries.values()), _DICTIONARY_BYTES, "dictionaries", where)
        return
    # A stream's messages are read as a whole; of a file, the buffers of the wanted columns.
    taken = _decompressed(file, size, body, header, is_read) + block.body * (not is_file)
    _refuse_large(taken + sum(dictionaries.values()), _BATCH_BYTES, "record batches", where)


def _refuse_large(taken: int, most: int, what: str, where: str) -> None:
    if taken > most:
        raise DataError(
            f"{where} has {what} that take {taken / 1024**2:,.0f} MiB of memory, more than "
            f"{most // 1024**2} (the file may have any size). Write it again with smaller batches "
            "(pyarrow: chunksize=10_000), or as Parquet"
        )


def _decompressed(
    file: BinaryIO, size: int, body: int, batch: _Table, is_read: Sequence[bool]
) -> int:
    """Return the bytes of a batch's buffers that are read."""
    at, count = batch.vector(2)
    # Columns of views have any number of buffers.
    all_are_read = len(is_read) != count or batch.vector(4)[1] > 0
    compressed = batch.table(3) is not None
    total = 0
    for index in range(count):
        if not (all_are_read or is_read[index]):
            continue
        offset, length = struct.unpack_from("<qq", batch.data, at + 16 * index)
        if not (0 <= offset <= size and 0 <= length <= size - offset):
            raise MessageError("a buffer is outside of its file")
        if compressed and length >= 8:
            file.seek(body + offset)
            (unpacked,) = struct.unpack("<q", file.read(8))
            # -1: this one is not compressed.
            length += max(unpacked, 0)
        total += length
    return total


def _buffers_of(kind: pa.DataType) -> int:
    """Return how many buffers a column has in a message."""
    return 0 if pa.types.is_null(kind) else len(pa.nulls(0, kind).buffers())


def _blocks_of_file(file: BinaryIO, size: int) -> Iterator[_Block]:
    """Yield the messages that the footer names, dictionaries first, as the reader takes them."""
    end = size - len(MAGIC) - 4
    file.seek(max(end, 0))
    (length,) = struct.unpack("<i", file.read(4).ljust(4, b"\0"))
    if not 0 < length <= min(end, _METADATA_BYTES):
        raise MessageError("its footer is damaged or too long")
    file.seek(end - length)
    try:
        footer = _Table.root(file.read(length))
        for field in (2, 3):
            at, count = footer.vector(field)
            for index in range(count):
                yield _Block(*struct.unpack_from("<qi4xq", footer.data, at + 24 * index))
    except (struct.error, IndexError) as error:
        raise MessageError("its footer is damaged") from error


def _blocks_of_stream(file: BinaryIO, size: int) -> Iterator[_Block]:
    """Yield the messages one after the other."""
    at = 0
    while at < size:
        file.seek(at)
        start = file.read(8)
        prefix = 8 if start[:4] == b"\xff\xff\xff\xff" else 4
        length = int.from_bytes(start[prefix - 4 : prefix], "little", signed=True)
        if not length:
            return
        message = _Block(at, prefix + length, 0)
        try:
            body = _message(file, size, message).number(3, "q")
        except (struct.error, IndexError) as error:
            raise MessageError("a message is damaged") from error
        if not 0 <= body <= size - at - message.metadata:
            raise MessageError("it is cut off")
        yield message._replace(body=body)
        at += message.metadata + body


def _message(file: BinaryIO, size: int, block: _Block) -> _Table:
    if not (0 <= block.offset <= size and 0 < block.metadata <= _METADATA_BYTES):
        raise MessageError("a message is damaged")
    file.seek(block.offset)
    data = file.read(block.metadata)
    return _Table.root(data[8:] if data[:4] == b"\xff\xff\xff\xff" else data[4:])


class _Table(NamedTuple):
    """A table of a FlatBuffer; raises struct.error or IndexError where it is damaged."""

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> _Table:
        return cls(data, struct.unpack_from("<I", data)[0])

    def number(self, field: int, kind: str) -> int:
        """Return a number, 0 if it is absent."""
        at = self._place(field)
        return int(struct.unpack_from("<" + kind, self.data, at)[0]) if at else 0

    def table(self, field: int) -> _Table | None:
        """Return a table, None if it is absent."""
        at = self._place(field)
        return _Table(self.data, self._target(at)) if at else None

    def vector(self, field: int) -> tuple[int, int]:
        """Return where the elements of a vector are, and their number."""
        at = self._place(field)
        if not at:
            return 0, 0
        target = self._target(at)
        return target + 4, int(struct.unpack_from("<I", self.data, target)[0])

    def _target(self, at: int) -> int:
        return at + int(struct.unpack_from("<I", self.data, at)[0])

    def _place(self, field: int) -> int:
        table = self.at - int(struct.unpack_from("<i", self.data, self.at)[0])
        slot = 4 + 2 * field
        if table < 0:
            raise IndexError
        if slot >= struct.unpack_from("<H", self.data, table)[0]:
            return 0
        offset = int(struct.unpack_from("<H", self.data, table + slot)[0])
        return self.at + offset if offset else 0
