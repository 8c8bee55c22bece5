"""The compiled loops that train the flat model. Importing this compiles, or reads a cache.

`plain_flat` has the same in numpy alone.
"""

from __future__ import annotations

from ktt_models.sklearn.solvers.kernels import flat_epoch
from ktt_models.sklearn.solvers.pairs import find_pairs, find_runs

__all__ = ["find_pairs", "find_runs", "flat_epoch"]
