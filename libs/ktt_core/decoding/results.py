"""Predicted paths: as arrays, and as class names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.labels import Labels
from ktt_core.taxonomy import HIDDEN, Path, Taxonomy

__all__ = ["Prediction", "Predictions"]

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Prediction:
    """One predicted path.

    Attributes
    ----------
    path : tuple of str
        Class names from the root down, without padding classes. Empty if not even the first class
        reaches the minimal confidence.
    probability : float
        Probability of the path's last class, in [0, 1]; 1 for the empty path.
    codes : tuple of int
        Level-local indices of the named classes.
    """

    path: Path
    probability: float
    codes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Predictions:
    """The k most probable paths of n rows, most probable first.

    Attributes
    ----------
    taxonomy : Taxonomy
    codes : ndarray of int32, shape (n, k, depth)
        Level-local indices down to the leaf, for any minimal confidence.
    probabilities : ndarray of float32, shape (n, k)
        Probability of the last class that is shown.
    stop_levels : ndarray of int32, shape (n, k)
        Level of the last class that is shown, a real one; -1 for an empty path.
    valid : ndarray of bool, shape (n, k)
        Whether the codes form a path of the taxonomy: always, except with
        ``decoding="independent"``.
    """

    taxonomy: Taxonomy
    codes: IntArray
    probabilities: FloatArray
    stop_levels: IntArray
    valid: BoolArray

    @property
    def leaves(self) -> IntArray:
        """Indices of the leaves, shape (n, k)."""
        return self.codes[:, :, -1]

    def __len__(self) -> int:
        return len(self.codes)

    def best(self) -> Labels:
        """Return each row's most probable path, down to the leaf."""
        return Labels(self.codes[:, 0])

    def predictions(self) -> list[list[Prediction]]:
        """Return the paths by name, one list per row.

        Paths that end at the same class are listed once, so a list may have fewer than k.
        """
        return list(self.iter_predictions())

    def iter_predictions(self) -> Iterator[list[Prediction]]:
        """Yield the lists of `predictions`, row by row."""
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
