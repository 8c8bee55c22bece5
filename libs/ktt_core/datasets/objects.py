"""From the objects of a JSON source to the columns of a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import Any

import numpy as np
import pyarrow as pa

from ktt_core.datasets.chunks import (
    LIST,
    TEXT,
    Chunk,
    Wanted,
    lists_not_text,
    missing_columns,
    text_not_lists,
)

__all__ = ["NOT_TEXT", "check_objects", "chunk_of_objects"]

NOT_TEXT = "not text"

Object = dict[str, Any]


def check_objects(wanted: Wanted, objects: Sequence[Object], where: str) -> None:
    """Check on a source's first rows that the import was told the right columns.

    Raises
    ------
    DataError
        If no object has a wanted column, or the first has a list for text or the reverse.
    """
    missing_columns(wanted, list(dict.fromkeys(key for o in objects for key in o)), where)
    for name in wanted.texts:
        if isinstance(objects[0].get(name), list):
            raise lists_not_text(name, where)
    for name in wanted.lists:
        if isinstance(objects[0].get(name), str):
            raise text_not_lists(name, where)


def chunk_of_objects(
    wanted: Wanted,
    objects: list[Object],
    rows: list[int],
    broken: list[tuple[int, str]],
    done: int,
) -> Chunk:
    """Return the objects as a chunk; those with cells that are no text join `broken`."""
    try:
        columns = _columns(wanted, objects)
    except (TypeError, ValueError):
        # Numbers, NaN, other types or lone surrogates somewhere: cell by cell, then.
        columns, fine = _columns_by_cell(wanted, objects)
        broken = sorted(
            [*broken, *((row, NOT_TEXT) for row, ok in zip(rows, fine, strict=True) if not ok)]
        )
        rows = [row for row, ok in zip(rows, fine, strict=True) if ok]
    return Chunk(columns, np.array(rows, dtype=np.int64), broken, done)


def _columns(wanted: Wanted, objects: list[Object]) -> dict[str, pa.Array]:
    columns = {}
    for name in wanted.texts:
        columns[name] = pa.array([o.get(name) for o in objects], pa.string()).cast(TEXT)
    for name in wanted.lists:
        values = [o.get(name) for o in objects]
        # Arrow would take a text for the list of its characters.
        if not set(map(type, values)) <= {list, NoneType}:
            raise TypeError(name)
        columns[name] = pa.array(values, pa.list_(pa.string())).cast(LIST)
    return columns


def _columns_by_cell(
    wanted: Wanted, objects: list[Object]
) -> tuple[dict[str, pa.Array], list[bool]]:
    cells: dict[str, list[Any]] = {name: [] for name in wanted.names}
    fine = []
    for item in objects:
        try:
            texts = [_text(item.get(name)) for name in wanted.texts]
            lists = [_list(item.get(name)) for name in wanted.lists]
        except TypeError:
            fine.append(False)
            continue
        fine.append(True)
        for name, cell in zip(wanted.names, [*texts, *lists], strict=True):
            cells[name].append(cell)
    columns = {name: pa.array(cells[name], TEXT) for name in wanted.texts}
    columns.update({name: pa.array(cells[name], LIST) for name in wanted.lists})
    return columns, fine


def _text(value: Any) -> bytes | None:
    if isinstance(value, str):
        # Lone surrogates become invalid UTF-8, which the import counts as such.
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
