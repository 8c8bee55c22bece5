"""The compiled loops that train the hierarchical model. Importing this compiles, or reads a cache.

`plain_loops` has the same in numpy alone.
"""

from __future__ import annotations

from ktt_models.sklearn.solvers.columns import columns_of
from ktt_models.sklearn.solvers.grouping import number_groups, scan_level, write_entries
from ktt_models.sklearn.solvers.node_kernels import (
    level_epoch,
    sort_rows,
    write_pairs,
    write_weights,
)

__all__ = [
    "THREADED",
    "columns_of",
    "level_epoch",
    "number_groups",
    "scan_level",
    "sort_rows",
    "write_entries",
    "write_pairs",
    "write_weights",
]

#: Whether the loops run side by side in threads: these hold no interpreter lock.
THREADED = True
