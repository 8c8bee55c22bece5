"""The taxonomy: a forest of classes on `depth` levels, in one canonical order.

Classes are numbered level by level, and within a level the children of one parent are adjacent, in
the order of their parents. So the children of a class, and the leaves below it, are always a
*range* of indices: summing leaf probabilities up the tree, or taking a maximum over a subtree, is
one segmented reduction (``np.add.reduceat``) and needs no matrix of class pairs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import DataError

__all__ = ["HIDDEN", "MAX_NAME_LENGTH", "Path", "Taxonomy", "check_class_name"]

IntArray = NDArray[np.int32]

#: A root-to-leaf sequence of class names.
Path = tuple[str, ...]

#: The name of a padding class. No real class can have it.
HIDDEN = ""

#: In characters. Longer names mostly mean that a column of texts was taken for classes.
MAX_NAME_LENGTH = 512

FORMAT_VERSION = 1

# Control characters, line and paragraph separators (predictions separate names by line breaks),
# lone surrogates.
_FORBIDDEN = frozenset(["Cc", "Zl", "Zp", "Cs"])


def check_class_name(name: object) -> str | None:
    """Return the problem with a class name, or None if it is valid."""
    if not isinstance(name, str):
        return f"a class name must be text, not {type(name).__name__}"
    if not name.strip():
        return "a class name is empty"
    if len(name) > MAX_NAME_LENGTH:
        return (
            f"a class name has {len(name):,} characters (at most {MAX_NAME_LENGTH}): "
            f"it begins {name[:40]!r}"
        )
    # Printable strings hold none of them; this test is faster than a loop over the characters.
    if not name.isprintable() and any(unicodedata.category(c) in _FORBIDDEN for c in name):
        return f"a class name holds a control character or line break: {name[:80]!r}"
    return None


class Taxonomy:
    """A padded forest of classes.

    A class is identified by its path, not by its name alone. A class above the last level gets one
    *hidden* child per missing level, so every leaf is on the last level; hidden classes never
    appear in predictions, scores, reference columns or metrics.

    Parameters
    ----------
    names : sequence of sequence of str
        Per level, the names of its classes in canonical order. `HIDDEN` marks padding classes.
    parents : sequence of sequence of int
        Per level, the index of each class's parent in the level above; level 0 points to itself.

    Attributes
    ----------
    classes : tuple of str
        The names of all levels, concatenated. Length C.
    level_sizes : ndarray of int32, shape (depth,)
    level_offsets : ndarray of int32, shape (depth + 1,)
        Level h is ``classes[level_offsets[h]:level_offsets[h + 1]]``.
    parent_of : tuple of ndarray of int32
        Per level, shape (n_h,), indices into the level above.

    Raises
    ------
    DataError
        If the arrays are not a canonically ordered, padded forest.
    """

    def __init__(self, names: Sequence[Sequence[str]], parents: Sequence[Sequence[int]]) -> None:
        if not names or not names[0]:
            raise DataError("a taxonomy needs at least one class")
        if len(names) != len(parents):
            raise DataError(
                f"a taxonomy has {len(names)} levels of names but {len(parents)} of parents"
            )
        self._names = tuple(tuple(level) for level in names)
        self.parent_of: tuple[IntArray, ...] = tuple(
            np.asarray(level, dtype=np.int32).reshape(-1) for level in parents
        )
        for level in range(len(names)):
            self._check_level(level)
        self.classes: tuple[str, ...] = tuple(name for level in self._names for name in level)
        self.level_sizes: IntArray = np.array([len(level) for level in self._names], dtype=np.int32)
        self.level_offsets: IntArray = np.concatenate(
            [np.zeros(1, np.int32), np.cumsum(self.level_sizes, dtype=np.int32)]
        )

    def _check_level(self, level: int) -> None:
        names, parents = self._names[level], self.parent_of[level]
        where = f"level {level} of the taxonomy"
        if len(names) != len(parents):
            raise DataError(f"{where} has {len(names)} names but {len(parents)} parents")
        for name in names:
            problem = None if name == HIDDEN and level else check_class_name(name)
            if problem:
                raise DataError(f"{where}: {problem}")
        if level == 0:
            if not np.array_equal(parents, np.arange(len(parents))):
                raise DataError(f"{where} must point to itself")
            siblings = list(names)
        else:
            above = self._names[level - 1]
            covered = np.unique(parents)
            if not np.array_equal(covered, np.arange(len(above))):
                raise DataError(
                    f"{where}: every class above needs a child, and every parent must exist"
                )
            if np.any(np.diff(parents) < 0):
                raise DataError(f"{where}: children must stand in the order of their parents")
            for name, parent in zip(names, parents.tolist(), strict=True):
                if above[parent] == HIDDEN and name != HIDDEN:
                    raise DataError(f"{where}: {name!r} is below a hidden class")
            siblings = list(zip(parents.tolist(), names, strict=True))  # type: ignore[arg-type]
        if len(set(siblings)) != len(siblings):
            raise DataError(f"{where}: two classes of one parent have the same name")

    # -- construction ---

    @classmethod
    def from_paths(cls, paths: Iterable[Sequence[str]], depth: int | None = None) -> Taxonomy:
        """Build the padded forest of all given paths.

        Parameters
        ----------
        paths : iterable of sequence of str
            Root-to-leaf names, in any order, with repetitions and different lengths.
        depth : int, optional
            Number of levels; default: that of the longest path.

        Raises
        ------
        DataError
            If there is no path, a path is empty or longer than `depth`, or a name is not valid.
        """
        unique = {tuple(path) for path in paths}
        if not unique:
            raise DataError("a taxonomy needs at least one path")
        longest = max(map(len, unique))
        depth = longest if depth is None else depth
        if longest > depth:
            raise DataError(f"a path has {longest} levels, more than the depth of {depth}")
        if min(map(len, unique)) == 0:
            raise DataError("a path is empty")
        for path in unique:
            if HIDDEN in path:
                raise DataError(f"a class name is empty in the path {path!r}")
        padded = sorted(path + (HIDDEN,) * (depth - len(path)) for path in unique)
        names: list[list[str]] = []
        parents: list[list[int]] = []
        above: dict[Path, int] = {}
        for level in range(depth):
            prefixes = dict.fromkeys(path[: level + 1] for path in padded)
            index = {prefix: position for position, prefix in enumerate(prefixes)}
            names.append([prefix[-1] for prefix in prefixes])
            parents.append([above[prefix[:-1]] if level else index[prefix] for prefix in prefixes])
            above = index
        return cls(names, parents)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Taxonomy:
        """Rebuild a taxonomy from the value of `to_json`, with full validation.

        Raises
        ------
        DataError
            If it is not a canonically ordered, padded forest.
        """
        known = isinstance(value, Mapping) and type(value.get("format")) is int
        if not known or value.get("format") != FORMAT_VERSION:
            found = value.get("format") if isinstance(value, Mapping) else type(value).__name__
            raise DataError(
                f"not a taxonomy of format {FORMAT_VERSION} (found {str(found)[:40]!r})"
            )
        names, parents = value.get("names"), value.get("parents")
        if not isinstance(names, list) or not isinstance(parents, list):
            raise DataError("a taxonomy needs the lists 'names' and 'parents'")
        if not all(isinstance(level, list) for level in (*names, *parents)):
            raise DataError("a taxonomy's 'names' and 'parents' must hold one list per level")
        # NumPy would accept "0", 0.5, true and nested lists as indices; older versions wrap 2**32.
        if not all(
            type(index) is int and 0 <= index < 2**31 for level in parents for index in level
        ):
            raise DataError("a taxonomy's 'parents' must be whole numbers below 2**31")
        try:
            return cls(names, parents)
        except TypeError as error:
            raise DataError(f"a taxonomy's 'names' and 'parents' are malformed: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value, with a size linear in the number of classes."""
        return {
            "format": FORMAT_VERSION,
            "names": [list(level) for level in self._names],
            "parents": [level.tolist() for level in self.parent_of],
        }

    # -- sizes ---

    @property
    def depth(self) -> int:
        """Number of levels."""
        return len(self._names)

    @property
    def n_classes(self) -> int:
        """Number of classes on all levels, hidden ones included (C)."""
        return len(self.classes)

    @property
    def n_leaves(self) -> int:
        """Number of classes on the last level."""
        return len(self._names[-1])

    # -- structure ---

    @cached_property
    def hidden(self) -> NDArray[np.bool_]:
        """Which classes are padding, shape (C,)."""
        return np.array([name == HIDDEN for name in self.classes], dtype=bool)

    @cached_property
    def child_ranges(self) -> tuple[IntArray, ...]:
        """Per level but the last, shape (n_h + 1,): class i has children ``[r[i], r[i + 1])``."""
        return tuple(
            np.searchsorted(self.parent_of[level + 1], np.arange(size + 1)).astype(np.int32)
            for level, size in enumerate(self.level_sizes[:-1].tolist())
        )

    @cached_property
    def leaf_ranges(self) -> tuple[IntArray, ...]:
        """Per level, shape (n_h + 1,): the leaves below class i are ``[r[i], r[i + 1])``."""
        ranges = [np.arange(self.n_leaves + 1, dtype=np.int32)]
        for level in range(self.depth - 2, -1, -1):
            ranges.append(ranges[-1][self.child_ranges[level]])
        return tuple(reversed(ranges))

    @cached_property
    def leaf_codes(self) -> IntArray:
        """Each leaf's path in level-local indices, shape (n_leaves, depth)."""
        codes = np.empty((self.n_leaves, self.depth), dtype=np.int32)
        codes[:, -1] = np.arange(self.n_leaves)
        for level in range(self.depth - 1, 0, -1):
            codes[:, level - 1] = self.parent_of[level][codes[:, level]]
        return codes

    @cached_property
    def _index(self) -> tuple[dict[tuple[int, str], int], ...]:
        return tuple(
            {
                (int(parent) if level else -1, name): position
                for position, (parent, name) in enumerate(
                    zip(self.parent_of[level], self._names[level], strict=True)
                )
            }
            for level in range(self.depth)
        )

    # -- names ---

    def encode(self, path: Sequence[str]) -> tuple[int, ...]:
        """Return the level-local codes of a path (padded to `depth`), length depth.

        Raises
        ------
        KeyError
            If the path is not in the taxonomy.
        """
        padded = tuple(path) + (HIDDEN,) * (self.depth - len(path))
        if len(padded) != self.depth:
            raise KeyError(tuple(path))
        codes, above = [], -1
        for level, name in enumerate(padded):
            above = self._index[level].get((above, name), -1)
            if above < 0:
                raise KeyError(tuple(path))
            codes.append(above)
        return tuple(codes)

    def known_levels(self, path: Sequence[str]) -> int:
        """Return the number of leading names of a path that are classes of the taxonomy."""
        above = -1
        for level, name in enumerate(path[: self.depth]):
            above = self._index[level].get((above, name), -1) if name != HIDDEN else -1
            if above < 0:
                return level
        return min(len(path), self.depth)

    @cached_property
    def leaf_paths(self) -> tuple[Path, ...]:
        """Each leaf's path of names, without hidden classes, in leaf order."""
        return tuple(
            tuple(
                name
                for level, code in enumerate(codes)
                if (name := self._names[level][code]) != HIDDEN
            )
            for codes in self.leaf_codes.tolist()
        )

    def path_of(self, level: int, code: int) -> Path:
        """Return the names from the root to a class, without hidden classes."""
        names: list[str] = []
        for above in range(level, -1, -1):
            if self._names[above][code] != HIDDEN:
                names.append(self._names[above][code])
            code = int(self.parent_of[above][code])
        return tuple(reversed(names))

    # -- derived matrices of the literature; quadratic, so never stored ---

    def ancestor_matrix(self) -> NDArray[np.bool_]:
        """M, shape (C, C): ``M[i, j]`` is true if class j is i or an ancestor of i."""
        matrix = np.eye(self.n_classes, dtype=bool)
        for level in range(1, self.depth):
            start, end = self.level_offsets[level], self.level_offsets[level + 1]
            matrix[start:end] |= matrix[self.level_offsets[level - 1] + self.parent_of[level]]
        return matrix

    def leaf_matrix(self) -> NDArray[np.bool_]:
        """R, shape (n_leaves, C): ``R[l, j]`` is true if class j is on the path of leaf l."""
        matrix = np.zeros((self.n_leaves, self.n_classes), dtype=bool)
        rows = np.arange(self.n_leaves)
        for level in range(self.depth):
            matrix[rows, self.level_offsets[level] + self.leaf_codes[:, level]] = True
        return matrix

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Taxonomy):
            return NotImplemented
        return self._names == other._names and all(
            np.array_equal(mine, theirs)
            for mine, theirs in zip(self.parent_of, other.parent_of, strict=True)
        )

    def __hash__(self) -> int:
        return hash(self._names)

    def __repr__(self) -> str:
        sizes = " / ".join(str(size) for size in self.level_sizes)
        return f"Taxonomy(depth={self.depth}, classes per level {sizes})"
