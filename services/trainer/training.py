"""One training run: fit, test, write. It knows no process; `trainer.tasks` runs it in one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ktt_core.class_changes import check_same_classes
from ktt_core.config import build_config
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
from trainer.reporting import leave_report

__all__ = ["TrainedRun", "TrainingJob", "run_training"]


@dataclass(frozen=True)
class TrainingJob:
    """All that a run needs, in JSON values.

    Attributes
    ----------
    workspace, dataset, model : str
    config : mapping
        The model's hyperparameters.
    best_path, last_path : str or None
        Where the checkpoints go; None for a dry run.
    reference_path : str or None
        Where the reference set goes, if one is wanted.
    report_path : str or None
        Where the report goes.
    resume_from : str or None
        The last checkpoint of the run that this one continues.
    """

    workspace: str
    dataset: str
    model: str
    config: Mapping[str, Any] = field(default_factory=dict)
    best_path: str | None = None
    last_path: str | None = None
    reference_path: str | None = None
    report_path: str | None = None
    resume_from: str | None = None


@dataclass(frozen=True)
class TrainedRun:
    """What is to be said of a run, besides the files it wrote.

    Attributes
    ----------
    metrics : dict of str to dict
        Of "val" and "test"; a split without rows is left out. If the model cuts texts, also the
        shares of texts and tokens cut, of "train" too.
    warnings : tuple of str
        What a person should know, and what to do about it.
    """

    metrics: dict[str, dict[str, float]]
    warnings: tuple[str, ...] = ()


def run_training(
    job: TrainingJob,
    progress: ProgressCallback = ignore_progress,
    taking_steps: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> TrainedRun:
    """Train a model, test it, and write its checkpoint, reference set and report.

    Parameters
    ----------
    job : TrainingJob
    progress : callable
    taking_steps : callable
        Returns a context for the part of the run that can be continued if `progress` ends it.

    Returns
    -------
    TrainedRun

    Raises
    ------
    KttError
        If the dataset or the config cannot be used after all.
    """
    started = time.monotonic()
    dataset = Workspace(Path(job.workspace)).open_dataset(job.dataset)
    model_class = get_model(job.model)
    config = build_config(model_class.config_class, job.model, job.config)
    load = model_class.get_dataloader_func()
    resume_from = Path(job.resume_from) if job.resume_from else None
    if resume_from is None:
        model = model_class(dataset.taxonomy, config)
    else:
        # All that it takes is in the file, whatever has become of what the run was begun with.
        model = model_class.from_checkpoint(resume_from)
        _check_same_rows(model, dataset)
    preprocessor = model.preprocessor
    model.record.dataset = dataset.name
    model.record.fingerprint = dataset.fingerprint
    best_path = Path(job.best_path) if job.best_path else None
    last_path = Path(job.last_path) if job.last_path else None
    train = load(dataset.split("train"), preprocessor, config, shuffle=True)
    val = load(dataset.split("val"), preprocessor, config)
    with taking_steps():
        cut = {"train": cut_shares_of(train, progress), "val": cut_shares_of(val, progress)}
        if cut["train"] is not None:
            tell_cut(cut["train"], model, train.n_rows, progress)
        validation = model.fit(train, val, last_path, best_path, resume_from, progress)
    if (best_path or last_path) and not any(
        path.is_file() for path in (best_path, last_path) if path
    ):
        raise UnsupportedError(f"{job.model} wrote no checkpoint: its fit must write one")
    metrics = {"val": _floats(job.model, "fit", validation)} if validation else {}
    diagnostics = SplitDiagnostics(model.taxonomy, model.temperature) if job.report_path else None
    if dataset.sizes["test"]:
        test = load(dataset.split("test"), preprocessor, config)
        metrics["test"] = _floats(job.model, "test", model.test(test, progress, diagnostics))
        cut["test"] = cut_shares_of(test, progress)
        model.record.metrics = {**model.record.metrics, "test": metrics["test"]}
        if best_path is not None:
            # The same weights again, atomically, now with their test metrics beside them.
            progress(Progress("save"))
            model.save(best_path)
        if job.reference_path:
            # Said here too: a model may make its table without reading the rows.
            progress(Progress("reference"))
            watched = WatchedLoader(test, "reference", progress)
            write_reference(model.gen_reference_set(watched), Path(job.reference_path))
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
    if job.report_path:
        progress(Progress("report"))
        leave_report(
            Path(job.report_path),
            job.model,
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
    """See that a run goes on with the rows it was begun with, down to the last moment."""
    check_same_classes(model.taxonomy, dataset.taxonomy, f"the run of {model.model_id}")
    if model.record.fingerprint not in ("", dataset.fingerprint):
        raise FailedPreconditionError(
            f"the run of {model.model_id} cannot be continued: the dataset {dataset.name!r} has "
            "been imported anew since, with other contents; train anew, without --resume"
        )


def _floats(model: str, method: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics that JSON can hold: models may compute them with numpy."""
    try:
        found = {str(name): float(figure) for name, figure in metrics.items()}
    except (AttributeError, TypeError, ValueError):
        found = {"": math.nan}
    if not all(map(math.isfinite, found.values())):
        raise UnsupportedError(
            f"{model}: {method} returned {metrics!r:.200}, which are no metrics: names, and finite "
            "numbers"
        )
    return found
