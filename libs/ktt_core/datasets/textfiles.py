"""Opening of text files, plain or gzipped, with a check that they are UTF-8 text."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from ktt_core.datasets.row_sizes import MAX_ROW_BYTES
from ktt_core.errors import DataError

__all__ = ["LOOK_BYTES", "READ_ERRORS", "TextFile", "lines", "open_text", "reading", "unreadable"]

#: Exceptions raised while a plain or gzipped file is read.
READ_ERRORS = (OSError, EOFError, zlib.error)

_BOM = b"\xef\xbb\xbf"

#: Bytes of `TextFile.head`.
LOOK_BYTES = 65_536


@dataclass(frozen=True)
class TextFile:
    """An open text file.

    Attributes
    ----------
    path : Path
    stream : binary file
        The text's bytes, after the byte order mark if there is one.
    raw : binary file
        The underlying file; its position is the progress, also of a gzipped file.
    head : bytes
        The first 64 KiB of `stream`, which it still returns when read.
    """

    path: Path
    stream: BinaryIO
    raw: BinaryIO
    head: bytes


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[TextFile]:
    """Open a file, decompressing it if its name ends in ``.gz``.

    Raises
    ------
    DataError
        If it cannot be read, or evidently is not UTF-8 text.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise unreadable(path, error.strerror or str(error)) from error
    with raw:
        packed = path.name.lower().endswith(".gz")
        stream: BinaryIO = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
        try:
            head = stream.read(LOOK_BYTES)
            skipped = len(_BOM) if head.startswith(_BOM) else 0
            stream.seek(skipped)
        except READ_ERRORS as error:
            raise unreadable(path, error) from error
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise unreadable(path, "it is UTF-16 text; save it as UTF-8")
        if b"\x00" in head[:1024]:
            raise unreadable(path, "it is not a text file")
        yield TextFile(path, stream, raw, head[skipped:])


def lines(file: TextFile) -> Iterator[bytes]:
    """Yield the lines. What is longer than a row may be comes in pieces."""
    return iter(partial(file.stream.readline, 2 * MAX_ROW_BYTES), b"")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn errors of reading a file into a DataError that names it."""
    try:
        yield
    except READ_ERRORS as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, problem: object) -> DataError:
    """Return the error for a file that cannot be read completely."""
    lines = str(problem).splitlines() or [type(problem).__name__]
    return DataError(f"{path} cannot be read: {lines[0][:300]}")
