"""Training of a tf-idf model: features, solver, temperature."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ktt_core.errors import DataError
from ktt_core.labels import Labels
from ktt_core.loader import block_rows
from ktt_core.metrics import VALIDATION_LOSS
from ktt_core.model import Loader, Metrics
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_models.sklearn.config import TfidfConfig
from ktt_models.sklearn.contract import Levels, Solver
from ktt_models.sklearn.features import RowCounter, gather_rows
from ktt_models.sklearn.solvers.compile_notice import on_compiling
from ktt_models.validation import validate

if TYPE_CHECKING:
    from ktt_models.sklearn.model import SklearnModel

__all__ = ["train_solver", "validated"]

# Progress message: compiling takes seconds, or minutes on a busy machine.
_COMPILING = "compiling for this processor, once"


def train_solver(
    model: SklearnModel, train: Loader, progress: ProgressCallback
) -> tuple[TfidfVectorizer, Solver, list[dict[str, float]]]:
    """Train a new vectorizer and solver for a model, and return them with the loss curve.

    Raises
    ------
    KttError
        If there are too few rows, or the solver cannot be created or trained.
    """
    solver = model.make_solver()
    vectorizer = model.make_vectorizer()
    seen = RowCounter(progress, "features", 2 * train.n_rows)
    config = model.config
    try:
        vectorizer.fit(seen.count(batch.inputs["text"]) for batch in train)
    except DataError as error:
        # Not for errors of reading rows. Explains the origin of a min_df that the user has not set.
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
    rows, labels = gather_rows(train, lambda texts: vectorizer.transform(seen.count(texts)))
    history: list[dict[str, float]] = []

    def on_epoch(epoch: int, epochs: int, metrics: dict[str, float]) -> None:
        point = {"epoch": float(epoch), "loss": metrics["train_loss"]}
        history.append(point if "pass" not in metrics else {**point, "pass": metrics["pass"]})
        progress(Progress("fit", epoch, epochs, "epochs", metrics))

    # scikit-learn classifiers report no epochs.
    epochs = config.epochs if isinstance(config, TfidfConfig) else None
    progress(Progress("fit", 0, epochs, "epochs"))
    with on_compiling(lambda: progress(Progress(_COMPILING))):
        solver.fit(rows, labels.codes, on_epoch=on_epoch)
    return vectorizer, solver, history


def validated(
    model: SklearnModel, val: Loader, progress: ProgressCallback
) -> tuple[float, Metrics]:
    """Fit the temperature of a trained model, and return it and the metrics at it.

    Parameters
    ----------
    model : SklearnModel
    val : Loader
        With at least one row.
    progress : callable
    """
    taxonomy, solver = model.taxonomy, model.solver
    rows, labels = gather_rows(val, model.vectorizer.transform)
    size = block_rows(taxonomy)

    def scored() -> Iterator[tuple[Levels, Labels]]:
        for start in range(0, rows.n_rows, size):
            end = min(start + size, rows.n_rows)
            yield solver.level_scores(rows.take(start, end)), labels.select(slice(start, end))

    progress(Progress("temperature"))
    temperature, metrics = validate(
        scored,
        rows.n_rows,
        taxonomy,
        model.scores_comparable_within_level,
        model.get_metrics_func(),
        known_leaves=getattr(solver, "known_leaves", None),
        sample=False,
        on_measured=RowCounter(progress, "validate", val.n_rows).count,
    )
    # Solvers minimise another loss.
    del metrics[VALIDATION_LOSS]
    return temperature, metrics
