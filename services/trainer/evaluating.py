"""Evaluation of a checkpoint on its own dataset or on other rows, with an optional baseline."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ktt_core.checkpoints.paths import CheckpointFile
from ktt_core.class_changes import describe_changes
from ktt_core.cut_texts import describe_cut
from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.labelled import LabelledRows, read_labelled, rows_of_split
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import CheckpointError, DataError, FailedPreconditionError
from ktt_core.metrics.outcomes import compare_outcomes
from ktt_core.model import Model
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.registry import get_model
from ktt_core.workspace import Workspace
from trainer.error_table import ErrorTable
from trainer.evaluation_details import Comparison, RowFigures
from trainer.evaluation_plan import EvaluationPlan, check_evaluation, uploads_of
from trainer.known_classes import KnownClasses, find_known
from trainer.measurement import Measurement, measure
from trainer.seen_texts import find_seen, training_data
from trainer.specs import EvaluationOutcome, EvaluationSpec

__all__ = ["evaluate_model"]


@dataclass(frozen=True)
class _Candidate:
    """A loaded checkpoint, with the name of the dataset it was trained on."""

    model: Model
    dataset: str
    file: CheckpointFile

    def __str__(self) -> str:
        return f"{self.model.model_id} of {self.dataset!r}"


def evaluate_model(
    workspace: Workspace,
    spec: EvaluationSpec,
    progress: ProgressCallback,
    folder: Path | None = None,
    errors_path: Path | None = None,
) -> EvaluationOutcome:
    """Test a checkpoint.

    Parameters
    ----------
    workspace : Workspace
    spec : EvaluationSpec
    progress : callable
    folder : Path, optional
        Folder for temporary rows. Default: the system's.
    errors_path : Path, optional
        File for the wrongly answered rows, with their texts. Default: none.

    Raises
    ------
    CheckpointError
        If a checkpoint is damaged, or of another taxonomy than its dataset has now.
    DataError
        If no row has a class that the models know.
    FailedPreconditionError
        If only unseen rows are requested, and they cannot be determined or there are none.
    KttError
        As `check_evaluation` and `ktt_core.datasets.labelled.read_labelled`.
    """
    plan = check_evaluation(workspace, spec)
    ours = _load(spec.model, spec.dataset, plan.checkpoint)
    theirs = None
    if plan.baseline is not None:
        theirs = _load(spec.baseline_model, spec.baseline_dataset, plan.baseline)
    if spec.of_own_rows and theirs is None and plan.dataset is not None:
        _check_taxonomy(ours, plan.dataset)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="rows-", dir=folder) as kept,
        _rows(workspace, spec, plan, Path(kept), progress) as rows,
    ):
        return _evaluate(workspace, spec, ours, theirs, rows, Path(kept), errors_path, progress)


def _evaluate(
    workspace: Workspace,
    spec: EvaluationSpec,
    ours: _Candidate,
    theirs: _Candidate | None,
    rows: LabelledRows,
    folder: Path,
    errors_path: Path | None,
    progress: ProgressCallback,
) -> EvaluationOutcome:
    candidates = [ours] if theirs is None else [ours, theirs]
    warnings: list[str] = []
    seen_rows = 0
    if rows.bad is not None and rows.bad.total:
        warnings.append(f"{rows.bad.total:,} bad rows were left out:\n{rows.bad.describe()}")
    if spec.of_own_rows and theirs is None and not spec.unseen:
        warnings += _other_import(ours, rows, spec.split)
    else:
        seen = _seen(workspace, candidates, rows, spec.unseen, warnings, progress)
        if spec.unseen:
            seen_rows = int(seen.sum())
            if seen.all():
                raise FailedPreconditionError(
                    f"all {len(rows):,} rows of {rows.name} have texts that were trained or "
                    "calibrated on: name rows that are new with --on, or leave --unseen out"
                )
            rows = rows.take(~seen)
    known = [find_known(rows, candidate.model.taxonomy) for candidate in candidates]
    shared = np.logical_and.reduce([it.whole for it in known])
    if not shared.any():
        raise _nothing_shared(rows, candidates)
    measured = [
        measure(it.model, rows, found.leaves, shared, folder, progress, phase)
        for it, found, phase in zip(candidates, known, ("test", "test baseline"), strict=False)
    ]
    for it, answers in zip(candidates, measured, strict=True):
        if answers.cut is not None and answers.cut.is_much:
            whose = f"{it}: " if theirs is not None else ""
            said = describe_cut(answers.cut, "texts", it.model, "train again ")
            warnings.append(f"{whose}{said}")
    result = EvaluationOutcome(
        _relative(workspace, ours),
        int(shared.sum()),
        measured[0].figures,
        tuple(warnings),
        measured[0].seconds,
        seen_rows=seen_rows,
    )
    if not spec.of_own_rows or theirs is not None:
        result = replace(
            result, unknown=known[0].unknown, all_rows=_all_rows(measured[0]), on=rows.name
        )
    if theirs is not None:
        result = replace(result, comparison=_compare(workspace, theirs, known[1], measured, shared))
    if errors_path is not None:
        table = ErrorTable()
        for candidate, found, answers in zip(candidates, known, measured, strict=True):
            progress(Progress("list errors"))
            model = candidate.model
            table.add(rows, found, answers, model, candidate.dataset, candidate.file.time)
        table.write(errors_path)
        result = replace(result, error_rows=table.n_rows)
    return result


def _relative(workspace: Workspace, candidate: _Candidate) -> str:
    return candidate.file.path.relative_to(workspace.root).as_posix()


def _load(model: str, dataset: str, file: CheckpointFile) -> _Candidate:
    return _Candidate(get_model(model).from_checkpoint(file.path), dataset, file)


@contextlib.contextmanager
def _rows(
    workspace: Workspace,
    spec: EvaluationSpec,
    plan: EvaluationPlan,
    folder: Path,
    progress: ProgressCallback,
) -> Iterator[LabelledRows]:
    """Yield the rows of a spec; a file is read into `folder`."""
    if plan.dataset is not None:
        yield rows_of_split(plan.dataset, spec.split)
        return
    options = ImportOptions.from_json(spec.file_options)
    source: contextlib.AbstractContextManager[Path] = contextlib.nullcontext(Path(spec.on_file))
    if spec.upload_id:
        source = uploads_of(workspace).reading(spec.upload_id)
    with source as file:
        rows = read_labelled(file, options, folder, spec.split, progress)
    yield rows


def _seen(
    workspace: Workspace,
    candidates: list[_Candidate],
    rows: LabelledRows,
    leave_out: bool,
    warnings: list[str],
    progress: ProgressCallback,
) -> NDArray[np.bool_]:
    """Return which rows a model has seen; warn if they are not excluded."""
    seen = np.zeros(len(rows), dtype=bool)
    for candidate in candidates:
        progress(Progress("look for seen texts"))
        data = training_data(workspace, candidate.model, candidate.dataset)
        if data is None:
            reason = (
                f"the rows that {candidate} was trained on are not known: its dataset was removed "
                "or changed since"
            )
            if leave_out:
                raise FailedPreconditionError(f"{reason}; leave --unseen out")
            warnings.append(f"{reason}. Metrics over rows it was trained on are too high")
            continue
        found = find_seen(rows, data)
        if found.any() and not leave_out:
            warnings.append(
                f"{int(found.sum()):,} of {len(rows):,} rows have texts that {candidate} was "
                "trained or calibrated on, so the metrics are too high: --unseen leaves them out"
            )
        seen |= found
    return seen


def _all_rows(measured: Measurement) -> RowFigures:
    outcomes = measured.by_row()
    return RowFigures(len(outcomes), outcomes.figures())


def _compare(
    workspace: Workspace,
    theirs: _Candidate,
    known: KnownClasses,
    measured: list[Measurement],
    shared: NDArray[np.bool_],
) -> Comparison:
    ours, other = (answers.by_row() for answers in measured)
    return Comparison(
        dataset=theirs.dataset,
        model=theirs.model.model_id,
        checkpoint_path=_relative(workspace, theirs),
        figures=measured[1].figures,
        differences=compare_outcomes(ours.take(shared), other.take(shared)),
        all_rows=_all_rows(measured[1]),
        all_differences=compare_outcomes(ours, other),
        unknown=known.unknown,
    )


def _nothing_shared(rows: LabelledRows, candidates: list[_Candidate]) -> DataError:
    theirs = " > ".join(rows.paths[int(rows.which[0])])
    knows = "; ".join(
        f"{it} knows {' > '.join(it.model.taxonomy.leaf_paths[0])!r} and others"
        for it in candidates
    )
    return DataError(
        f"none of the {len(rows):,} rows of {rows.name} has a class that "
        f"{'the model knows' if len(candidates) == 1 else 'both models know'}: the first is "
        f"{theirs[:200]!r}; {knows[:400]}. A class is its whole path: do the columns, the "
        "separator and the depth fit?"
    )


def _other_import(ours: _Candidate, rows: LabelledRows, split: str) -> list[str]:
    """Return why the metrics may not be those of unseen rows."""
    if ours.model.record.fingerprint in ("", rows.fingerprint):
        return []
    overlap = (
        "" if split == "train" else f": its {split} rows may be among the rows it learned from"
    )
    return [f"trained on another import of {rows.name!r}{overlap}"]


def _check_taxonomy(ours: _Candidate, dataset: Dataset) -> None:
    if ours.model.taxonomy != dataset.taxonomy:
        raise CheckpointError(
            f"{ours.file.path} was trained on another taxonomy than {dataset.name!r} has now "
            f"({describe_changes(ours.model.taxonomy, dataset.taxonomy)}): train again, or measure "
            f"it on the classes that both have: --on {dataset.name}"
        )
