"""Validation: metrics, and the temperature that makes probabilities honest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding import fit_temperature, leaf_log_proba
from ktt_core.metrics import (
    UNCALIBRATED,
    VALIDATION_LOSS,
    LogLoss,
    MetricsAccumulator,
    UncalibratedError,
)
from ktt_core.model import Metrics
from ktt_core.taxonomy import Taxonomy

__all__ = ["validate"]

Scored = tuple[Sequence[NDArray[np.float32]], NDArray[np.int32]]

#: Scores up to this many cells (256 MiB) are kept, so that rows are scored once.
MAX_KEPT_CELLS = 2**26


def validate(
    scored: Callable[[], Iterable[Scored]],
    n_rows: int,
    taxonomy: Taxonomy,
    levels_stand_alone: bool = True,
) -> tuple[float, Metrics]:
    """Fit the temperature, and return it with the metrics at it.

    Where there are more scores than are kept, the temperature is fitted on every k-th row, and the
    rows are scored a second time for the metrics.

    Parameters
    ----------
    scored : callable
        Yields the level scores and the codes of all rows, in batches; called once or twice.
    n_rows : int
    taxonomy : Taxonomy
    levels_stand_alone : bool
        See `ktt_core.model.Model`.

    Returns
    -------
    temperature : float
    metrics : dict of str to float
        And the calibration error at the temperature 1, as `ktt_core.metrics.UNCALIBRATED`, and the
        loss at the fitted one, as `ktt_core.metrics.VALIDATION_LOSS`.
    """
    stride = max(1, -(-n_rows * taxonomy.n_classes // MAX_KEPT_CELLS))
    uncalibrated = UncalibratedError(taxonomy)
    kept: list[Scored] = []
    done = 0
    for levels, codes in scored():
        uncalibrated(levels, codes)
        rows = slice(-done % stride, None, stride)
        # A view would keep the whole batch.
        kept.append(([np.array(level[rows]) for level in levels], codes[rows]))
        done += len(codes)
    temperature = fit_temperature(
        [levels for levels, _ in kept], np.concatenate([codes for _, codes in kept]), taxonomy
    )
    again: Iterator[Scored] = iter(kept if stride == 1 else scored())
    accumulator, loss = MetricsAccumulator(taxonomy), LogLoss()
    for levels, codes in again:
        log_proba = leaf_log_proba(levels, taxonomy, temperature)
        accumulator.update(log_proba, codes, levels if levels_stand_alone else None)
        loss.update(log_proba, codes)
    return temperature, {
        **accumulator.compute(),
        UNCALIBRATED: uncalibrated.error(),
        VALIDATION_LOSS: loss.mean(),
    }
