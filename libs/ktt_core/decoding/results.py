"""Decoded paths: arrays for a program, names for a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.taxonomy import HIDDEN, Path, Taxonomy

__all__ = ["DecodedPaths", "Prediction"]

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Prediction:
    """One predicted path.

    Attributes
    ----------
    path : tuple of str
        Class names from the root down, hidden classes left out. Empty if not even the root class
        reaches the minimal confidence.
    probability : float
        Of the path's last class, in [0, 1]; 1 for the empty path.
    codes : tuple of int
        The named classes' level-local indices.
    """

    path: Path
    probability: float
    codes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class DecodedPaths:
    """The k most probable paths of n rows, most probable first.

    Attributes
    ----------
    taxonomy : Taxonomy
    codes : ndarray of int32, shape (n, k, depth)
        Level-local indices down to the leaf, whatever the confidence.
    probabilities : ndarray of float32, shape (n, k)
        Of the class the path stops at.
    stop_levels : ndarray of int32, shape (n, k)
        The last level that is shown, a real class's; -1 for an empty path.
    valid : ndarray of bool, shape (n, k)
        Whether the codes are a path of the taxonomy: always, but for ``decoding="independent"``.
    """

    taxonomy: Taxonomy
    codes: IntArray
    probabilities: FloatArray
    stop_levels: IntArray
    valid: BoolArray

    @property
    def leaves(self) -> IntArray:
        """The leaves' indices, shape (n, k)."""
        return self.codes[:, :, -1]

    def __len__(self) -> int:
        return len(self.codes)

    def predictions(self) -> list[list[Prediction]]:
        """Return the paths by name, one list per row.

        Paths that stop at the same class are listed once, so a list may hold fewer than k.
        """
        return list(self.iter_predictions())

    def iter_predictions(self) -> Iterator[list[Prediction]]:
        """Yield what `predictions` lists, row by row."""
        classes, offsets = self.taxonomy.classes, self.taxonomy.level_offsets.tolist()
        known: dict[tuple[int, ...], tuple[Path, tuple[int, ...]]] = {}
        for codes, probabilities, stops in zip(
            self.codes, self.probabilities, self.stop_levels, strict=True
        ):
            found: dict[tuple[int, ...], Prediction] = {}
            for path_codes, probability, stop in zip(
                codes.tolist(), probabilities.tolist(), stops.tolist(), strict=True
            ):
                kept = tuple(path_codes[: stop + 1])
                if kept not in known:
                    named = [
                        (name, code)
                        for level, code in enumerate(kept)
                        if (name := classes[offsets[level] + code]) != HIDDEN
                    ]
                    known[kept] = (
                        tuple(name for name, _ in named),
                        tuple(code for _, code in named),
                    )
                path, shown = known[kept]
                found.setdefault(kept, Prediction(path, probability, shown))
            yield list(found.values())
