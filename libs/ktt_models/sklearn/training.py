"""Features, then a solver on them, then the temperature: how a tf-idf model is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ktt_core.decoding import fit_temperature, leaf_log_proba
from ktt_core.errors import DataError
from ktt_core.metrics import UNCALIBRATED, MetricsAccumulator, UncalibratedError
from ktt_core.model import Loader, Metrics, Observer
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_models.sklearn.config import TfidfConfig
from ktt_models.sklearn.contract import Levels, Scorer, Solver
from ktt_models.sklearn.features import RowCounter, block_rows, gather_rows
from ktt_models.sklearn.solvers.compile_notice import on_compiling

if TYPE_CHECKING:
    from ktt_models.sklearn.model import SklearnModel

__all__ = ["measure", "train_solver", "validate"]

# What is shown while it takes seconds, and minutes on a busy machine.
_COMPILING = "compiling for this processor, once"

# Validation scores up to this many cells (256 MiB) are kept while the temperature is fitted; more
# are computed anew for each of its passes.
_MAX_KEPT_CELLS = 2**26


def train_solver(
    model: SklearnModel, train: Loader, progress: ProgressCallback
) -> tuple[TfidfVectorizer, Solver, list[dict[str, float]]]:
    """Train a new vectorizer and a new solver of a model's, and return them and the loss curve.

    Raises
    ------
    KttError
        If the rows are too few, or the solver cannot be made or trained.
    """
    solver = model.make_solver()
    vectorizer = model.make_vectorizer()
    seen = RowCounter(progress, "features", 2 * train.n_rows)
    config = model.config
    try:
        vectorizer.fit(seen.count(batch.inputs["text"]) for batch in train)
    except DataError as error:
        # Not if reading the rows failed: a user who set no min_df is told where it is from.
        if (
            isinstance(config, TfidfConfig)
            and config.profile == "original"
            and seen.rows == train.n_rows
        ):
            raise DataError(
                f"{error}; the profile 'original' sets min_df to "
                f"{config.original['min_df']} where nothing else is said"
            ) from error
        raise
    rows, codes = gather_rows(train, lambda texts: vectorizer.transform(seen.count(texts)))
    history: list[dict[str, float]] = []

    def on_epoch(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        point = {"epoch": float(epoch), "loss": metrics["train_loss"]}
        history.append(point if "pass" not in metrics else {**point, "pass": metrics["pass"]})
        progress(Progress("fit", epoch, epochs, "epochs", metrics))

    # A classifier that trains in one go tells of no epochs.
    epochs = config.epochs if isinstance(config, TfidfConfig) else None
    progress(Progress("fit", 0, epochs, "epochs"))
    with on_compiling(lambda: progress(Progress(_COMPILING))):
        solver.fit(rows, codes, on_epoch=on_epoch)
    return vectorizer, solver, history


def validate(model: SklearnModel, val: Loader, progress: ProgressCallback) -> tuple[float, Metrics]:
    """Fit the temperature of a trained model, and return it and the metrics at it.

    Parameters
    ----------
    model : SklearnModel
    val : Loader
        With at least one row.
    progress : callable
    """
    taxonomy, solver = model.taxonomy, model.solver
    rows, codes = gather_rows(val, model.vectorizer.transform)
    size = block_rows(taxonomy)
    blocks = [
        rows.take(start, min(start + size, rows.n_rows)) for start in range(0, rows.n_rows, size)
    ]

    def scores() -> Iterator[Levels]:
        return (solver.level_scores(block) for block in blocks)

    progress(Progress("temperature"))
    keep = rows.n_rows * taxonomy.n_classes <= _MAX_KEPT_CELLS
    kept = list(scores()) if keep else None
    temperature = _fitted_temperature(
        solver, scores if kept is None else lambda: kept, codes, taxonomy
    )
    parts = (codes[start : start + size] for start in range(0, len(codes), size))
    pairs = zip(scores() if kept is None else kept, parts, strict=True)
    uncalibrated = UncalibratedError(taxonomy)
    seen = RowCounter(progress, "validate", val.n_rows)
    metrics = measure(model, pairs, temperature, seen, uncalibrated)
    return temperature, {**metrics, UNCALIBRATED: uncalibrated.error()}


def _fitted_temperature(
    solver: Scorer,
    scores: Callable[[], Iterable[Levels]],
    codes: NDArray[np.int32],
    taxonomy: Taxonomy,
) -> float:
    known = getattr(solver, "known_leaves", None)
    if known is None:
        return fit_temperature(scores, codes, taxonomy)
    # A leaf that had no training rows is out of the question at any temperature.
    possible = np.isin(codes[:, -1], known)

    def possible_scores() -> Iterator[Levels]:
        start = 0
        for levels in scores():
            part = possible[start : start + len(levels[0])]
            yield [level[part] for level in levels]
            start += len(part)

    return fit_temperature(possible_scores, codes[possible], taxonomy)


def measure(
    model: SklearnModel,
    pairs: Iterable[tuple[Levels, NDArray[np.int32]]],
    temperature: float,
    seen: RowCounter,
    observe: Observer | None = None,
) -> Metrics:
    """Return the metrics of scores and the true codes, given block by block."""
    accumulator = MetricsAccumulator(model.taxonomy)
    for levels, codes in pairs:
        if observe is not None:
            observe(levels, codes)
        log_proba = leaf_log_proba(levels, model.taxonomy, temperature)
        accumulator.update(log_proba, codes, levels if model.levels_stand_alone else None)
        seen.count(codes)
    return accumulator.compute()
