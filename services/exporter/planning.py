"""Lookup of an export's inputs when its job starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.checkpoints import locate
from exporter.requests import ExportSpec
from exporter.rows import parity_split

if TYPE_CHECKING:
    from ktt_core.checkpoints.paths import CheckpointFile
    from ktt_core.datasets.dataset import Split
    from ktt_core.model import Model

__all__ = ["ExportPlan", "plan_export"]


@dataclass(frozen=True)
class ExportPlan:
    """Inputs of an export.

    Attributes
    ----------
    spec : ExportSpec
    model_class : type
    checkpoint : CheckpointFile
    split_name : str
    split : Split
        Rows on which the export is compared with the checkpoint.
    """

    spec: ExportSpec
    model_class: type[Model]
    checkpoint: CheckpointFile
    split_name: str
    split: Split


def plan_export(workspace: Path, spec: ExportSpec) -> ExportPlan:
    """Look up the inputs of an export whose spec `exporter.checking.check_export` has accepted.

    Only inputs that changed while the job was queued can be missing.

    Raises
    ------
    NotFoundError
        If the checkpoint was removed since.
    FailedPreconditionError
        If the rows to compare on were removed or damaged since.
    """
    model_class, checkpoint = locate(workspace, spec.dataset, spec.model, spec.label, spec.time)
    split_name, split = parity_split(workspace, spec.dataset)
    return ExportPlan(spec, model_class, checkpoint, split_name, split)
