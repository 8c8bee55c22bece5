"""One training run: fit, test, write. Run by `trainer.tasks` in a worker process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ktt_core.class_changes import check_same_classes
from ktt_core.cut_texts import cut_shares_of, describe_cut, tell_cut
from ktt_core.datasets.dataset import Dataset
from ktt_core.diagnostics import SplitDiagnostics
from ktt_core.errors import FailedPreconditionError, UnsupportedError
from ktt_core.loader import WatchedLoader
from ktt_core.model import Model
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_core.reference import write_reference
from ktt_core.registry import get_model
from ktt_core.workspace import Workspace
from trainer.planning import PlannedRun
from trainer.reporting import write_run_report

__all__ = ["RunFiles", "TrainedRun", "run_training"]


@dataclass(frozen=True)
class RunFiles:
    """Files of a run; None for those not written.

    Attributes
    ----------
    best, last : Path or None
        The checkpoints.
    reference, report : Path or None
        The reference set, and the report.
    """

    best: Path | None = None
    last: Path | None = None
    reference: Path | None = None
    report: Path | None = None


@dataclass(frozen=True)
class TrainedRun:
    """Results of a run, besides its files.

    Attributes
    ----------
    metrics : dict of str to dict
        Of "val" and "test"; a split without rows is left out. If the model cuts texts, also the
        shares of texts and of their tokens or characters cut, of "train" too.
    warnings : tuple of str
        Warnings for the user, with advice.
    """

    metrics: dict[str, dict[str, float]]
    warnings: tuple[str, ...] = ()


def run_training(
    workspace: Workspace,
    planned: PlannedRun,
    files: RunFiles = RunFiles(),  # noqa: B008 - it cannot be changed
    progress: ProgressCallback = ignore_progress,
    taking_steps: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> TrainedRun:
    """Train a model, test it, and write its checkpoint, reference set and report.

    Parameters
    ----------
    workspace : Workspace
    planned : PlannedRun
    files : RunFiles
        All None for a dry run.
    progress : callable
    taking_steps : callable
        Returns a context for the resumable part of the run, which `progress` may end.

    Returns
    -------
    TrainedRun

    Raises
    ------
    KttError
        If the dataset or the config cannot be used.
    """
    started = time.monotonic()
    name, config, best_path = planned.spec.model, planned.config, files.best
    dataset = workspace.open_dataset(planned.spec.dataset)
    model_class = get_model(name)
    load = model_class.get_dataloader_func()
    resume_from = planned.continued.last if planned.continued else None
    if resume_from is None:
        model = model_class(dataset.taxonomy, config)
    else:
        # The file is self-contained: the original inputs may have been removed.
        model = model_class.from_checkpoint(resume_from)
        _check_same_rows(model, dataset)
    preprocessor = model.preprocessor
    model.record.dataset = dataset.name
    model.record.fingerprint = dataset.fingerprint
    train = load(dataset.split("train"), preprocessor, config, shuffle=True)
    val = load(dataset.split("val"), preprocessor, config)
    with taking_steps():
        cut = {"train": cut_shares_of(train, progress), "val": cut_shares_of(val, progress)}
        if cut["train"] is not None:
            tell_cut(cut["train"], model, train.n_rows, progress)
        validation = model.fit(train, val, files.last, best_path, resume_from, progress)
    checkpoints = [path for path in (best_path, files.last) if path]
    if checkpoints and not any(path.is_file() for path in checkpoints):
        raise UnsupportedError(f"{name} wrote no checkpoint: its fit must write one")
    metrics = {"val": _floats(name, "fit", validation)} if validation else {}
    diagnostics = SplitDiagnostics(model.taxonomy, model.temperature) if files.report else None
    if dataset.sizes["test"]:
        test = load(dataset.split("test"), preprocessor, config)
        metrics["test"] = _floats(name, "test", model.test(test, progress, diagnostics))
        cut["test"] = cut_shares_of(test, progress)
        model.record.metrics = {**model.record.metrics, "test": metrics["test"]}
        if best_path is not None:
            # The same weights again, atomically, now with their test metrics beside them.
            progress(Progress("save"))
            model.save(best_path)
        if files.reference:
            # Checked here too: a model may create its table without reading the rows.
            progress(Progress("reference"))
            watched = WatchedLoader(test, "reference", progress)
            write_reference(model.gen_reference_set(watched), files.reference)
    elif diagnostics is not None and dataset.sizes["val"]:
        model.test(val, progress, diagnostics)
    known = {split: shares for split, shares in cut.items() if shares is not None}
    for split, shares in known.items():
        metrics[split] = {**metrics.get(split, {}), **shares.figures()}
    warnings = [
        describe_cut(shares, "training texts", model, "train again ")
        for split, shares in known.items()
        if split == "train" and shares.texts
    ]
    if files.report:
        progress(Progress("report"))
        write_run_report(
            files.report,
            name,
            model,
            dataset,
            metrics,
            diagnostics if diagnostics is not None and diagnostics.rows else None,
            "test" if dataset.sizes["test"] else "val",
            best_path.name if best_path else "",
            time.monotonic() - started,
            warnings,
        )
    much = [warning for warning in warnings if known["train"].is_much]
    return TrainedRun(metrics, tuple(much))


def _check_same_rows(model: Model, dataset: Dataset) -> None:
    """Check that the dataset has not changed since the run was started."""
    check_same_classes(model.taxonomy, dataset.taxonomy, f"the run of {model.model_id}")
    if model.record.fingerprint not in ("", dataset.fingerprint):
        raise FailedPreconditionError(
            f"the run of {model.model_id} cannot be continued: the dataset {dataset.name!r} has "
            "been imported again since, with other contents; train again, without --resume"
        )


def _floats(model: str, method: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics that JSON can hold: models may compute them with numpy."""
    try:
        found = {str(name): float(figure) for name, figure in metrics.items()}
    except (AttributeError, TypeError, ValueError):
        found = {"": math.nan}
    if not all(map(math.isfinite, found.values())):
        raise UnsupportedError(
            f"{model}: {method} returned {metrics!r:.200}, which are not metrics: names, and "
            "finite numbers"
        )
    return found
