"""Opening of a source according to its file name's suffix."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from ktt_core.datasets.chunks import Source, Wanted
from ktt_core.datasets.columnar import open_arrow, open_parquet
from ktt_core.datasets.delimited import open_csv, open_tsv
from ktt_core.datasets.records import open_json, open_json_lines
from ktt_core.datasets.textfiles import unreadable
from ktt_core.errors import DataError, InvalidArgumentError, NotFoundError

__all__ = ["SUFFIXES", "open_source"]

_OPENERS: dict[str, Callable[[Path, Wanted], Source]] = {
    ".csv": open_csv,
    ".csv.gz": open_csv,
    ".tsv": open_tsv,
    ".tsv.gz": open_tsv,
    ".json": open_json,
    ".json.gz": open_json,
    ".jsonl": open_json_lines,
    ".jsonl.gz": open_json_lines,
    ".ndjson": open_json_lines,
    ".ndjson.gz": open_json_lines,
    ".parquet": open_parquet,
    ".feather": open_arrow,
    ".arrow": open_arrow,
}

#: The supported file name suffixes.
SUFFIXES = tuple(_OPENERS)


def open_source(path: Path, wanted: Wanted) -> Source:
    """Open a file of labelled texts.

    Raises
    ------
    NotFoundError
        If there is no such file.
    InvalidArgumentError
        If its suffix is not one of `SUFFIXES`.
    DataError
        If it cannot be read, or lacks a wanted column.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from error
    if stat.S_ISDIR(mode):
        raise DataError(f"{path} is a folder; name one file in it")
    if not stat.S_ISREG(mode):
        raise DataError(f"{path} is not a regular file; save its contents to one")
    name = path.name.lower()
    suffix = max((suffix for suffix in SUFFIXES if name.endswith(suffix)), key=len, default=None)
    if suffix is None:
        raise InvalidArgumentError(
            f"the format of {path.name!r} is not known; its name must end in one of: "
            + ", ".join(SUFFIXES)
        )
    return _OPENERS[suffix](path, wanted)
