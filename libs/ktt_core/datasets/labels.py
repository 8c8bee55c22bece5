"""Encoding of label columns: distinct paths are numbered in the order of their first row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ktt_core.datasets.options import MAX_DEPTH, ImportOptions
from ktt_core.errors import DataError
from ktt_core.taxonomy import MAX_NAME_LENGTH, Path, check_class_name

__all__ = [
    "CONTROL_CHARACTER",
    "INVALID_UTF8",
    "MAX_LEAVES",
    "MAX_PATHS_BYTES",
    "MISSING_LEVEL",
    "NAME_TOO_LONG",
    "NO_LABEL",
    "SEPARATOR_FIRST",
    "TOO_DEEP",
    "LabelEncoder",
]

NO_LABEL = "no label"
MISSING_LEVEL = "missing level"
SEPARATOR_FIRST = "label that begins with the separator, which belongs between two classes"
NAME_TOO_LONG = f"class name longer than {MAX_NAME_LENGTH} characters"
CONTROL_CHARACTER = "control character in a class name"
INVALID_UTF8 = "invalid UTF-8"
TOO_DEEP = f"more than {MAX_DEPTH} levels"

#: Negative codes of unusable labels, with their reasons.
REASONS = {
    -1: MISSING_LEVEL,
    -2: NAME_TOO_LONG,
    -3: CONTROL_CHARACTER,
    -4: INVALID_UTF8,
    -5: TOO_DEEP,
    -6: NO_LABEL,
    -7: SEPARATOR_FIRST,
}

#: More distinct paths than this mean that a column of texts was taken for classes.
MAX_LEAVES = 1_000_000

#: And so do longer ones: the bytes of all distinct paths together.
MAX_PATHS_BYTES = 128 * 1024**2

# Joins levels within this module. As a control character it is in no valid class name.
_UNIT = b"\x1f"
_RECORD = b"\x1e"

# Number and bytes of the labels cached between chunks. Bounded, because spellings of a path and bad
# labels can outnumber the paths.
_REMEMBERED = 200_000
_REMEMBERED_BYTES = 32 * 1024**2

# A label with more separators is not taken apart: the missing levels at its end are too many.
_MOST_SEPARATORS = 10_000


class LabelEncoder:
    """Numbers paths in the order of their first row.

    Parameters
    ----------
    options : ImportOptions

    Attributes
    ----------
    paths : list of tuple of str
        The distinct paths; their positions are the numbers that `encode` returns.
    """

    def __init__(self, options: ImportOptions) -> None:
        self._options = options
        self._depth = None if options.depth == "max" else int(options.depth)
        self._separator = _UNIT if options.sep is None else options.sep.encode("utf-8")
        self._numbers: dict[Path, int] = {}
        self._known: dict[bytes, int] = {}
        self._known_bytes = self._paths_bytes = 0
        self.paths: list[Path] = []

    def encode(self, columns: dict[str, pa.Array]) -> NDArray[np.int32]:
        """Return each row's path number, or a negative key of `REASONS`; int32, shape (rows,).

        Raises
        ------
        DataError
            If there are more than `MAX_LEAVES` paths, or `MAX_PATHS_BYTES` of them.
        """
        joined = pc.fill_null(self._joined(columns), b"").dictionary_encode()
        numbers = np.array(
            [self._number(label) for label in joined.dictionary.to_pylist()], dtype=np.int32
        )
        if len(self._known) > _REMEMBERED or self._known_bytes > _REMEMBERED_BYTES:
            self._known.clear()
            self._known_bytes = 0
        encoded: NDArray[np.int32] = numbers[np.asarray(joined.indices)]
        return encoded

    def _joined(self, columns: dict[str, pa.Array]) -> pa.Array:
        if self._options.classes and self._options.sep is not None:
            return columns[self._options.classes]
        if self._options.classes:
            lists = columns[self._options.classes]
            values = pc.fill_null(_without_unit(lists.values), b"")
            lists = pa.ListArray.from_arrays(lists.offsets, values, mask=_null_mask(lists))
            return pc.binary_join(lists, _UNIT)
        levels = [
            pc.fill_null(_without_unit(columns[name]), b"") for name in self._options.level_columns
        ]
        return pc.binary_join_element_wise(*levels, _UNIT)

    def _number(self, label: bytes) -> int:
        number = self._known.get(label)
        if number is None:
            number = self._known[label] = self._number_path(label)
            self._known_bytes += len(label)
        return number

    def _number_path(self, label: bytes) -> int:
        if label.count(self._separator) > _MOST_SEPARATORS:
            return -5
        try:
            names = [name.decode("utf-8").strip() for name in label.split(self._separator)]
        except UnicodeDecodeError:
            return -4
        if self._options.sep is not None and not names[0] and any(names):
            return -7  # as in "/A/B"
        names = names[: self._depth]
        while names and not names[-1]:
            names.pop()
        if not names:
            return -6
        if "" in names:
            return -1
        if len(names) > MAX_DEPTH:
            return -5
        if max(map(len, names)) > MAX_NAME_LENGTH:
            return -2
        if any(check_class_name(name) for name in names):
            return -3
        path = tuple(names)
        number = self._numbers.setdefault(path, len(self.paths))
        if number == len(self.paths):
            if number == MAX_LEAVES:
                raise DataError(
                    f"there are more than {MAX_LEAVES:,} different class paths: "
                    "do the label columns hold classes?"
                )
            self._paths_bytes += len(label)
            if self._paths_bytes > MAX_PATHS_BYTES:
                raise DataError(
                    f"the different class paths have more than {MAX_PATHS_BYTES // 1024**2} MiB "
                    "together: do the label columns hold classes?"
                )
            self.paths.append(path)
        return number


def _without_unit(column: pa.Array) -> pa.Array:
    # A name with the joining character would be split in two, so it is replaced by another control
    # character, which is as invalid.
    if pc.any(pc.match_substring(column, _UNIT)).as_py():
        return pc.replace_substring(column, _UNIT, _RECORD)
    return column


def _null_mask(lists: pa.ListArray) -> pa.Array | None:
    return lists.is_null() if lists.null_count else None
