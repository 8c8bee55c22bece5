"""Writing of an export's files in each format, with the comparison with its checkpoint."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.parity_gate import compare
from exporter.planning import ExportPlan
from exporter.results import MonitoringResult, ParityResult, QuantizationResult
from exporter.rows import MAX_ROWS, spread_rows
from ktt_core.checkpoints.paths import reference_path
from ktt_core.class_changes import describe_changes
from ktt_core.errors import FailedPreconditionError
from ktt_core.model import Batch
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.reference import write_reference
from ktt_packing.client.bundle import BundleOptions, pack_bundle

if TYPE_CHECKING:
    from ktt_core.datasets.dataset import Split
    from ktt_core.model import Model

__all__ = ["Written", "write_bundle", "write_onnx"]

# Rows between two progress events.
_BLOCK_ROWS = 32


@dataclass(frozen=True)
class Written:
    """Results of writing an export, apart from its files."""

    parity: ParityResult
    ir_version: int
    quantization: QuantizationResult | None = None
    monitoring: MonitoringResult | None = None


def write_onnx(plan: ExportPlan, model: Model, folder: Path, progress: ProgressCallback) -> Written:
    """Write a graph and its companion files into a folder.

    Raises
    ------
    FailedPreconditionError
        If a quantized graph is wanted, and the dataset has other classes by now.
    """
    name, split, spec = plan.split_name, plan.split, plan.spec
    _check_labels(plan, model)
    progress(Progress("export"))
    model.export_onnx(folder)
    parity = compare(model, lambda texts: model.onnx_parity(folder, texts), name, split, progress)
    quantization = None
    if spec.quantize is not None:
        rows = _spread_rows(model, split, progress)
        figures = model.quantize_onnx(folder, spec.quantize, rows)
        quantization = QuantizationResult(name, figures)
    return Written(parity, _ir_version(folder), quantization)


def write_bundle(
    plan: ExportPlan, model: Model, folder: Path, scratch: Path, progress: ProgressCallback
) -> Written:
    """Write a service into a folder, and its monitoring if the run has a reference set.

    If the service's graph is quantized, the reference set is recomputed with that graph.

    Parameters
    ----------
    plan : ExportPlan
    model : Model
        Of the plan's checkpoint.
    folder : Path
        Exists, and is empty.
    scratch : Path
        Folder for temporary files.
    progress : callable

    Raises
    ------
    FailedPreconditionError
        If a quantized graph is wanted, and the dataset has other classes by now.
    """
    spec, checkpoint, split_name, split = plan.spec, plan.checkpoint, plan.split_name, plan.split
    with tempfile.TemporaryDirectory(prefix="artifacts-", dir=scratch) as name:
        artifacts = Path(name)
        _check_labels(plan, model)
        progress(Progress("export"))
        model.export_artifacts(artifacts)
        parity = compare(
            model, lambda texts: model.artifacts_parity(artifacts, texts), split_name, split,
            progress,
        )  # fmt: skip
        reference = reference_path(checkpoint.path.parent, checkpoint.time)
        if spec.monitoring and not reference.is_file():
            # For the job's log.
            print(f"without monitoring: there is no {reference.name} beside the checkpoint")
        monitored, quantization = spec.monitoring and reference.is_file(), None
        if spec.quantize is not None:
            rows = _spread_rows(model, split, progress)
            figures = model.quantize_artifacts(artifacts, spec.quantize, rows)
            quantization = QuantizationResult(split_name, figures)
            if monitored:
                reference = _served_reference(model, artifacts, split, scratch, progress)
        options = BundleOptions(
            dataset=spec.dataset,
            version=checkpoint.time.replace("-", "").replace(":", ""),
            gpu=spec.gpu,
            reference_set=reference if monitored else None,
        )
        watched = pack_bundle(model, artifacts, folder, options, progress, scratch)
        _remove_empty_folders(folder)
        monitoring = (
            MonitoringResult(watched.reference_rows, watched.window_size) if watched else None
        )
        return Written(parity, _ir_version(artifacts), quantization, monitoring)


def _check_labels(plan: ExportPlan, model: Model) -> None:
    """Check that the rows' labels, which measure a quantized graph, are the model's classes."""
    if plan.spec.quantize is not None and model.taxonomy != plan.split.taxonomy:
        raise FailedPreconditionError(
            f"{plan.checkpoint.path.name} was trained on other classes than {plan.spec.dataset!r} "
            f"has now ({describe_changes(model.taxonomy, plan.split.taxonomy)}): an import has "
            "changed them since, and a quantized graph is measured on labelled rows. Train again, "
            "import the dataset as it was, or export without --quantize"
        )


def _remove_empty_folders(folder: Path) -> None:
    """Remove empty folders, so that the bundle is the same here and after a download."""
    for parent, _, _ in os.walk(folder, topdown=False):
        if parent != str(folder) and not os.listdir(parent):
            os.rmdir(parent)


def _spread_rows(model: Model, split: Split, progress: ProgressCallback) -> Iterator[Batch]:
    """Yield the rows on which a quantized graph is measured."""
    total, done = min(MAX_ROWS, model.onnx_parity_rows, split.n_rows), 0
    progress(Progress("quantize", 0, total, "rows"))
    for batch in spread_rows(split, total):
        for start in range(0, len(batch.codes), _BLOCK_ROWS):
            part = slice(start, start + _BLOCK_ROWS)
            yield Batch({"text": batch.inputs["text"][part]}, batch.codes[part])
            done += len(batch.codes[part])
            progress(Progress("quantize", done, total, "rows"))


def _served_reference(
    model: Model, artifacts: Path, split: Split, scratch: Path, progress: ProgressCallback
) -> Path:
    """Write the reference set that the bundle itself computes for the split's rows."""

    def rows() -> Iterator[Batch]:
        done = 0
        for texts, codes in split.iter_batches(_BLOCK_ROWS):
            yield Batch({"text": texts}, codes)
            done += len(codes)
            progress(Progress("reference", done, split.n_rows, "rows"))

    path = scratch / "references.parquet"
    write_reference(model.artifacts_reference_set(artifacts, rows()), path)
    return path


def _ir_version(folder: Path) -> int:
    """Return the version of the graph's file format; 0 if there is no graph."""
    graph = next(folder.glob("model*.onnx"), None)
    if graph is None:
        return 0
    import onnx

    # The weights are not needed here.
    return int(onnx.load(graph, load_external_data=False).ir_version)
