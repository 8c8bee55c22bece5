"""Validation: metrics, and the temperature that calibrates probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding import fit_temperature, leaf_log_proba
from ktt_core.labels import Labels
from ktt_core.metrics import (
    UNCALIBRATED,
    VALIDATION_LOSS,
    LogLoss,
    UncalibratedError,
    compute_metrics,
    make_accumulator,
)
from ktt_core.model import Metrics
from ktt_core.taxonomy import Taxonomy

__all__ = ["validate"]

Levels = Sequence[NDArray[np.float32]]
Scored = tuple[Levels, Labels]

#: Scores up to this many cells (256 MiB) are kept in memory, so that rows are scored once.
MAX_KEPT_CELLS = 2**26


def validate(
    scored: Callable[[], Iterable[tuple[Levels, Labels | NDArray[np.integer]]]],
    n_rows: int,
    taxonomy: Taxonomy,
    scores_comparable_within_level: bool = True,
    metrics_func: Callable[..., Metrics] = compute_metrics,
    known_leaves: NDArray[np.integer] | None = None,
    sample: bool = True,
    on_measured: Callable[[Labels], Any] = lambda labels: None,
) -> tuple[float, Metrics]:
    """Fit the temperature, and return it with the metrics at it.

    Above this limit, rows are scored once more for the metrics, and the temperature is fitted on
    every k-th row or, if scoring is fast, on all rows, which are scored again in each pass.

    Parameters
    ----------
    scored : callable
        Yields the level scores and the labels, or codes, of all rows, in batches.
    n_rows : int
    taxonomy : Taxonomy
    scores_comparable_within_level : bool
        See `ktt_core.model.Model`.
    metrics_func : callable
        What the model's `get_metrics_func` returns.
    known_leaves : ndarray of int, optional
        Leaves that had training rows: only rows of these have a say in the temperature, since
        another leaf is out of the question at any. Default: all.
    sample : bool
        Whether scoring is too slow for a dozen passes.
    on_measured : callable
        Hears of the labels of each batch whose metrics are known.

    Returns
    -------
    temperature : float
    metrics : dict of str to float
        And the calibration error at the temperature 1, as `ktt_core.metrics.UNCALIBRATED`, and the
        loss at the fitted one, as `ktt_core.metrics.VALIDATION_LOSS`.
    """

    def read() -> Iterator[Scored]:
        return ((levels, Labels.of(codes)) for levels, codes in scored())

    stride = max(1, -(-n_rows * taxonomy.n_classes // MAX_KEPT_CELLS))
    rows: Callable[[], Iterable[Scored]] = read
    if sample or stride == 1:
        kept = list(_every(stride, read()))
        rows = lambda: kept  # noqa: E731
    temperature = _fitted_temperature(rows, taxonomy, known_leaves)
    accumulator = make_accumulator(metrics_func, taxonomy)
    uncalibrated, loss = UncalibratedError(taxonomy), LogLoss()
    for levels, labels in rows() if stride == 1 else read():
        uncalibrated(levels, labels)
        log_proba = leaf_log_proba(levels, taxonomy, temperature)
        accumulator.update(log_proba, labels, levels if scores_comparable_within_level else None)
        loss.update(log_proba, labels)
        on_measured(labels)
    return temperature, {
        **accumulator.compute(),
        UNCALIBRATED: uncalibrated.error(),
        VALIDATION_LOSS: loss.mean(),
    }


def _every(stride: int, batches: Iterable[Scored]) -> Iterator[Scored]:
    done = 0
    for levels, labels in batches:
        rows = slice(-done % stride, None, stride)
        # A view would keep the whole batch.
        yield [np.array(level[rows]) for level in levels], labels.select(rows)
        done += len(labels)


def _fitted_temperature(
    rows: Callable[[], Iterable[Scored]],
    taxonomy: Taxonomy,
    known_leaves: NDArray[np.integer] | None,
) -> float:
    def possible() -> Iterator[Scored]:
        for levels, labels in rows():
            if known_leaves is not None:
                known = np.isin(labels.leaves(), known_leaves)
                levels, labels = [level[known] for level in levels], labels.select(known)
            yield levels, labels

    labels = Labels.concatenate(labels for _, labels in possible())
    return fit_temperature(lambda: (levels for levels, _ in possible()), labels, taxonomy)
