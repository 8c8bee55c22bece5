"""Conversion of JSON objects to the columns of a chunk."""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import Any

import numpy as np
import pyarrow as pa

from ktt_core.datasets.chunks import (
    LIST,
    ONE_PATH,
    TEXT,
    Chunk,
    Wanted,
    lists_not_text,
    missing_columns,
    text_not_lists,
)

__all__ = ["NESTED", "NOT_A_LIST", "NOT_TEXT", "check_objects", "chunk_of_objects"]

NOT_TEXT = "not text"
NOT_A_LIST = "not a list"
NESTED = "lists within a list"

Object = dict[str, Any]


def check_objects(wanted: Wanted, keys: Sequence[str], first: Object, where: str) -> None:
    """Check the options' columns on a source's first rows.

    Parameters
    ----------
    wanted : Wanted
    keys : sequence of str
        All keys of the first rows.
    first : dict
        The first row.
    where : str
        The file, for messages.

    Raises
    ------
    DataError
        If no object has a wanted column, or the first has a list for text or the reverse.
    """
    missing_columns(wanted, keys, where)
    for name in wanted.texts:
        if isinstance(first.get(name), list):
            raise lists_not_text(name, where)
    for name in wanted.lists:
        if isinstance(first.get(name), str):
            raise text_not_lists(name, where)


def chunk_of_objects(
    wanted: Wanted,
    objects: list[Object],
    rows: list[int],
    broken: list[tuple[int, str]],
    done: int,
) -> Chunk:
    """Return the objects as a chunk; rows with cells other than text are added to `broken`."""
    try:
        columns = _columns(wanted, objects)
    except (TypeError, ValueError):
        # A number, NaN, another type or a lone surrogate: convert cell by cell.
        columns, problems = _columns_by_cell(wanted, objects)
        judged = list(zip(rows, problems, strict=True))
        broken = sorted([*broken, *((row, problem) for row, problem in judged if problem)])
        rows = [row for row, problem in judged if not problem]
    return Chunk(columns, np.array(rows, dtype=np.int64), broken, done)


def _columns(wanted: Wanted, objects: list[Object]) -> dict[str, pa.Array]:
    columns = {}
    for name in wanted.texts:
        columns[name] = pa.array([o.get(name) for o in objects], pa.string()).cast(TEXT)
    for name in wanted.lists:
        values = [o.get(name) for o in objects]
        # Arrow would take a string as the list of its characters.
        if not set(map(type, values)) <= {list, NoneType}:
            raise TypeError(name)
        columns[name] = pa.array(values, pa.list_(pa.string())).cast(LIST)
    return columns


def _columns_by_cell(
    wanted: Wanted, objects: list[Object]
) -> tuple[dict[str, pa.Array], list[str]]:
    """Return the columns of the usable rows, and each row's problem ("" if it is usable)."""
    cells: dict[str, list[Any]] = {name: [] for name in wanted.names}
    problems = []
    for item in objects:
        try:
            texts = [_text(item.get(name), name) for name in wanted.texts]
            lists = [_list(item.get(name), name) for name in wanted.lists]
        except _CellError as error:
            problems.append(str(error))
            continue
        problems.append("")
        for name, cell in zip(wanted.names, [*texts, *lists], strict=True):
            cells[name].append(cell)
    columns = {name: pa.array(cells[name], TEXT) for name in wanted.texts}
    columns.update({name: pa.array(cells[name], LIST) for name in wanted.lists})
    return columns, problems


class _CellError(Exception):
    """The reason why a cell is unusable, in the same words for all cells with that problem."""


def _text(value: Any, name: str) -> bytes | None:
    if isinstance(value, str):
        # Lone surrogates become invalid UTF-8, which the import counts as such.
        return value.encode("utf-8", "surrogatepass")
    if value is None or value != value:  # NaN
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode()
    raise _CellError(f"{NOT_TEXT}: {name!r} holds {_kind(value)}")


def _list(value: Any, name: str) -> list[bytes | None] | None:
    if isinstance(value, list):
        if any(isinstance(item, list) for item in value):
            raise _CellError(f"{NESTED}: {name!r} must hold one path a row, such as {ONE_PATH}")
        return [_text(item, name) for item in value]
    if value is None or value != value:
        return None
    raise _CellError(f"{NOT_A_LIST}: {name!r} holds {_kind(value)}, and lists elsewhere")


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", float: "a number with a fraction", int: "a number"}
    return {**kinds, str: "text", list: "a list"}.get(type(value), "an object")
