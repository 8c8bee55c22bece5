"""Lookup of rows' class paths in a model's taxonomy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ktt_core.datasets.labelled import LabelledRows
from ktt_core.taxonomy import Taxonomy
from trainer.evaluation_details import UnknownClass, UnknownClasses

__all__ = ["KnownClasses", "find_known"]

_SHOWN = 5


@dataclass(frozen=True)
class KnownClasses:
    """Rows' classes in a taxonomy.

    Attributes
    ----------
    leaves : ndarray of int32, shape (n,)
        Each row's leaf in the taxonomy; -1 if the taxonomy lacks the row's path.
    levels : ndarray of int32, shape (n,)
        Number of the row's classes, from the root on, that the taxonomy has.
    unknown : UnknownClasses
    """

    leaves: NDArray[np.int32]
    levels: NDArray[np.int32]
    unknown: UnknownClasses

    @property
    def whole(self) -> NDArray[np.bool_]:
        """Rows whose whole path is in the taxonomy, shape (n,)."""
        return self.leaves >= 0


def find_known(rows: LabelledRows, taxonomy: Taxonomy) -> KnownClasses:
    """Look the rows' paths up in a taxonomy.

    A path that ends at an inner class of the taxonomy is not one of its paths: a model always
    returns paths down to a leaf.
    """
    leaf_of = {path: leaf for leaf, path in enumerate(taxonomy.leaf_paths)}
    leaves = np.array([leaf_of.get(path, -1) for path in rows.paths], dtype=np.int32)
    levels = np.array([taxonomy.known_levels(path) for path in rows.paths], dtype=np.int32)
    counts = np.bincount(rows.which, minlength=len(rows.paths))
    unknown = np.flatnonzero((leaves < 0) & (counts > 0))
    largest = unknown[np.argsort(-counts[unknown], kind="stable")][:_SHOWN]
    return KnownClasses(
        leaves[rows.which],
        levels[rows.which],
        UnknownClasses(
            rows=int(counts[unknown].sum()),
            classes=len(unknown),
            partly_known_rows=int(counts[unknown[levels[unknown] > 0]].sum()),
            largest=tuple(
                UnknownClass(tuple(rows.paths[i]), int(counts[i])) for i in largest.tolist()
            ),
        ),
    )
