"""Comparison of an export with its checkpoint on real rows, which every export must pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from exporter.results import ParityResult
from exporter.rows import MAX_ROWS, spread_texts
from ktt_core.errors import JobFailedError
from ktt_core.parity import (
    MAX_FEATURE_DIFFERENCE,
    MAX_PROBABILITY_DIFFERENCE,
    MIN_TOP_PATH_AGREEMENT,
    ParityFigures,
)
from ktt_core.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from ktt_core.datasets.dataset import Split
    from ktt_core.model import Model

__all__ = ["compare"]


def compare(
    model: Model,
    check: Callable[[Iterable[str]], ParityFigures],
    name: str,
    split: Split,
    progress: ProgressCallback,
) -> ParityResult:
    """Compare an export with its model on rows of a split, and refuse it if they differ.

    Parameters
    ----------
    model : Model
    check : callable
        Compares the two on texts.
    name : str
        Name of the split.
    split : Split
    progress : callable

    Raises
    ------
    JobFailedError
        If their results differ too much.
    """
    total = min(MAX_ROWS, model.onnx_parity_rows, split.n_rows)

    def texts() -> Iterator[str]:
        progress(Progress("parity", 0, total, "rows"))
        for done, text in enumerate(spread_texts(split, total), 1):
            yield text
            progress(Progress("parity", done, total, "rows"))

    figures = check(texts())
    _gate(model, figures, name)
    return ParityResult(
        rows=figures.rows,
        split=name,
        top_path_agreement=figures.top_path_agreement,
        max_probability_difference=figures.max_probability_difference,
        required_agreement=MIN_TOP_PATH_AGREEMENT,
        tolerated_difference=MAX_PROBABILITY_DIFFERENCE,
        max_feature_difference=figures.max_feature_difference,
        tolerated_feature_difference=(
            None if figures.max_feature_difference is None else MAX_FEATURE_DIFFERENCE
        ),
    )


def _gate(model: Model, figures: ParityFigures, split: str) -> None:
    if not figures.passed:
        features = ""
        if figures.max_feature_difference is not None:
            features = (
                f"; the feature {figures.worst_feature} of its monitoring rows differs by up to "
                f"{figures.max_feature_difference:.2g} of its mean size (at most "
                f"{MAX_FEATURE_DIFFERENCE:.0e} is allowed)"
            )
        raise JobFailedError(
            f"the results of the exported {model.model_id} differ from its checkpoint's: on "
            f"{figures.rows:,} rows of {split}, {figures.top_path_agreement:.4%} have the same "
            f"most probable path (at least {MIN_TOP_PATH_AGREEMENT:.1%} are required), and a "
            f"leaf's probability differs by up to {figures.max_probability_difference:.2g} (at "
            f"most {MAX_PROBABILITY_DIFFERENCE:.0e} is allowed){features}; nothing was published"
        )
