"""Writing of a run's report."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from ktt_core.config import build_config
from ktt_core.datasets.dataset import Dataset
from ktt_core.diagnostics import SplitDiagnostics
from ktt_core.model import Model
from trainer.report import ReportData, write_report
from trainer.report.device import device_name
from trainer.report.report_data import count_leaf_rows

__all__ = ["write_run_report"]


def write_run_report(
    path: Path,
    model_id: str,
    model: Model,
    dataset: Dataset,
    metrics: Mapping[str, Mapping[str, float]],
    diagnostics: SplitDiagnostics | None,
    split: str,
    checkpoint: str,
    seconds: float,
    warnings: Sequence[str] = (),
) -> bool:
    """Write the report of a run; return whether it was written.

    A report that cannot be made does not fail the run: the error goes into the job's log.

    Parameters
    ----------
    path : Path
    model_id : str
    model : Model
    dataset : Dataset
    metrics : mapping
        By split.
    diagnostics : SplitDiagnostics or None
    split : str
        Split of the diagnostics.
    checkpoint : str
        The name of the checkpoint's file.
    seconds : float
        How long the run took.
    warnings : sequence of str
        Further warnings for the user.
    """
    record = model.record
    try:
        facts = ReportData(
            dataset=dataset.name,
            model=model_id,
            taxonomy=dataset.taxonomy,
            split_rows=dict(dataset.sizes),
            train_rows=count_leaf_rows(dataset.split("train")),
            config=model.config.model_dump(mode="json"),
            defaults=build_config(type(model.config), model_id, {}).model_dump(mode="json"),
            metrics=metrics,
            diagnostics=diagnostics,
            split=split,
            history=record.history,
            checkpoint=checkpoint,
            started=record.created,
            seconds=seconds,
            device=device_name(model),
            fingerprint=dataset.fingerprint,
            versions=record.versions,
            warnings=warnings,
        )
        write_report(path, facts)
    except Exception:  # whatever fails, the run matters more than its report
        print("the report could not be made:")
        traceback.print_exc()
        path.unlink(missing_ok=True)
    return path.is_file()
