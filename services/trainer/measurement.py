"""Evaluation of a model on labelled rows, including those whose class it does not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ktt_core.cut_texts import CutShares, cut_shares_of
from ktt_core.datasets.dataset import Split
from ktt_core.datasets.labelled import LabelledRows, write_split
from ktt_core.errors import UnsupportedError
from ktt_core.metrics.outcomes import PathOutcomes, path_outcomes
from ktt_core.model import Loader, Model
from ktt_core.progress import Progress, ProgressCallback
from trainer.answers import AnswerRecorder

__all__ = ["Measurement", "measure", "measure_split"]


@dataclass(frozen=True)
class Measurement:
    """A model's answers to rows.

    Attributes
    ----------
    figures : mapping of str to float
        The model's metrics over the rows it was tested on.
    seconds : float
        Time for the answers to these rows.
    leaves : ndarray of int32, shape (n,)
        Predicted leaf of each row, in the model's taxonomy.
    probabilities : ndarray of float32, shape (n,)
        Probabilities of these answers.
    outcomes : PathOutcomes
        Comparison of the answers with the true paths, row by row.
    misplaced : str
        Reason why answers cannot be assigned to rows, or "". If set, only `figures` and `seconds`
        are valid.
    cut : CutShares or None
        Shares of the texts that were cut; also among the figures.
    """

    figures: Mapping[str, float]
    seconds: float
    leaves: NDArray[np.int32]
    probabilities: NDArray[np.float32]
    outcomes: PathOutcomes
    misplaced: str = ""
    cut: CutShares | None = None

    def by_row(self) -> PathOutcomes:
        """Return the outcomes; raises UnsupportedError if they are `misplaced`."""
        if self.misplaced:
            raise UnsupportedError(self.misplaced)
        return self.outcomes


def measure_split(
    model: Model, split: Split, progress: ProgressCallback
) -> tuple[dict[str, float], AnswerRecorder, CutShares | None]:
    """Test a model on a split of its taxonomy after a warm-up; also return how much it cuts."""
    loader = _loader(model, split)
    cut = cut_shares_of(loader, progress)
    # One-time work of the first answer must not count as time for the rows.
    first = next(iter(loader), None)
    if first is not None:
        model.warm_up(first.inputs, loader.n_rows)
    recorder = AnswerRecorder(loader, model)
    figures = model.test(recorder, progress, recorder.observe)
    metrics = {name: float(figure) for name, figure in figures.items()}
    return {**metrics, **(cut.figures() if cut is not None else {})}, recorder, cut


def measure(
    model: Model,
    rows: LabelledRows,
    leaves: NDArray[np.int32],
    tested: NDArray[np.bool_],
    folder: Path,
    progress: ProgressCallback,
    phase: str = "test",
) -> Measurement:
    """Test a model on some rows, and predict the others.

    Parameters
    ----------
    model : Model
    rows : LabelledRows
    leaves : ndarray of int32, shape (n,)
        The rows' leaves in the model's taxonomy; not used for rows that are not tested.
    tested : ndarray of bool, shape (n,)
        Rows for the metrics, at least one.
    folder : Path
        Folder for temporary files of rows.
    progress : callable
    phase : str
        Name of the phase in progress events.
    """

    def tell(event: Progress) -> None:
        progress(Progress(phase, event.step, event.total, event.unit, event.metrics))

    taxonomy = model.taxonomy
    split = rows.split
    if split is None or split.taxonomy != taxonomy or not tested.all():
        split = write_split(folder / "tested.parquet", rows.take(tested), leaves[tested], taxonomy)
    figures, recorder, cut = measure_split(model, split, tell)
    in_order = np.array_equal(recorder.true_leaves, leaves[tested])
    answered = np.empty(len(rows), dtype=np.int32)
    probabilities = np.empty(len(rows), dtype=np.float32)
    answered[tested], probabilities[tested] = recorder.leaves, recorder.probabilities
    if not tested.all():
        others = rows.take(~tested)
        # They have no leaf in this taxonomy: their positions serve as labels instead.
        places = np.arange(len(others), dtype=np.int32) % np.int32(taxonomy.n_leaves)
        split = write_split(folder / "others.parquet", others, places, taxonomy)
        rest = AnswerRecorder(_loader(model, split), model)
        done = 0
        for batch in rest:
            rest.observe(model.level_scores(batch.inputs), batch.codes)
            done += len(batch.codes)
            progress(Progress(f"{phase}, other rows", done, len(others), "rows"))
        in_order &= np.array_equal(rest.true_leaves, places)
        answered[~tested], probabilities[~tested] = rest.leaves, rest.probabilities
    for name in ("tested.parquet", "others.parquet"):
        (folder / name).unlink(missing_ok=True)
    outcomes = path_outcomes(rows.paths, rows.which, taxonomy.leaf_paths, answered)
    misplaced = (
        ""
        if in_order
        else f"the loader of {model.model_id} does not report the order of its rows, so that its "
        "answers cannot be assigned to rows: give its batches `rows`, the rows' positions in the "
        "split"
    )
    return Measurement(figures, recorder.seconds, answered, probabilities, outcomes, misplaced, cut)


def _loader(model: Model, split: Split) -> Loader:
    return type(model).get_dataloader_func()(split, model.preprocessor, model.config)
