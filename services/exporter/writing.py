"""What each format puts into an export's folder, compared with its checkpoint on the way."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.comparing import compare
from exporter.requests import ExportSpec
from exporter.results import ParityResult, QuantizationResult
from exporter.rows import MAX_ROWS, parity_split, spread_rows
from ktt_core.checkpoint_names import reference_path
from ktt_core.class_changes import describe_changes
from ktt_core.errors import FailedPreconditionError
from ktt_core.model import Batch
from ktt_core.packing.bundle import BundleOptions, pack_bundle
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.quantization import QuantizationFigures

if TYPE_CHECKING:
    from ktt_core.checkpoint_names import CheckpointFile
    from ktt_core.datasets.dataset import Split
    from ktt_core.model import Model

__all__ = ["Written", "write_bundle", "write_onnx"]

# Rows between two signs of life.
_BLOCK_ROWS = 32


@dataclass(frozen=True)
class Written:
    """What came of writing an export, but for its files."""

    parity: ParityResult
    ir_version: int
    quantization: QuantizationResult | None = None


def write_onnx(
    workspace: Path,
    spec: ExportSpec,
    model: Model,
    checkpoint: CheckpointFile,
    folder: Path,
    progress: ProgressCallback,
) -> Written:
    """Fill a folder with a graph and what belongs beside it.

    Raises
    ------
    FailedPreconditionError
        If a quantized graph is wanted, and the dataset has other classes by now.
    """
    name, split = parity_split(workspace, spec.dataset)
    if spec.quantize is not None:
        _check_labels(spec, model, checkpoint, split)
    progress(Progress("export"))
    model.export_onnx(folder)
    parity = compare(model, lambda texts: model.onnx_parity(folder, texts), name, split, progress)
    quantization = None
    if spec.quantize is not None:
        figures = _quantize(model, spec.quantize, folder, split, progress)
        quantization = QuantizationResult(name, figures)
    return Written(parity, _ir_version(folder), quantization)


def write_bundle(
    workspace: Path,
    spec: ExportSpec,
    model: Model,
    checkpoint: CheckpointFile,
    folder: Path,
    scratch: Path,
    progress: ProgressCallback,
) -> Written:
    """Fill a folder with a service, and with its monitoring if the run has a reference set.

    Parameters
    ----------
    workspace : Path
    spec : ExportSpec
    model : Model
    checkpoint : CheckpointFile
        What the model was read from.
    folder : Path
        Exists, and is empty.
    scratch : Path
        A folder for what is needed meanwhile.
    progress : callable
    """
    with tempfile.TemporaryDirectory(prefix="artifacts-", dir=scratch) as name:
        artifacts = Path(name)
        progress(Progress("export"))
        model.export_artifacts(artifacts)
        split_name, split = parity_split(workspace, spec.dataset)
        parity = compare(
            model, lambda texts: model.artifacts_parity(artifacts, texts), split_name, split,
            progress,
        )  # fmt: skip
        reference = reference_path(checkpoint.path.parent, checkpoint.time)
        if spec.monitoring and not reference.is_file():
            # For the job's log.
            print(f"without monitoring: there is no {reference.name} beside the checkpoint")
        options = BundleOptions(
            dataset=spec.dataset,
            version=checkpoint.time.replace("-", "").replace(":", ""),
            gpu=spec.gpu,
            reference_set=reference if spec.monitoring and reference.is_file() else None,
        )
        pack_bundle(model, artifacts, folder, options, progress, scratch)
        _remove_empty_folders(folder)
        return Written(parity, _ir_version(artifacts))


def _check_labels(spec: ExportSpec, model: Model, checkpoint: CheckpointFile, split: Split) -> None:
    """See that rows' labels mean the model's classes: its answers to their texts need no labels."""
    if model.taxonomy != split.taxonomy:
        raise FailedPreconditionError(
            f"{checkpoint.path.name} was trained on other classes than {spec.dataset!r} has now "
            f"({describe_changes(model.taxonomy, split.taxonomy)}): an import has changed them "
            "since, and a quantized graph is measured on labelled rows. Train again, import the "
            "dataset as it was, or export without --quantize"
        )


def _remove_empty_folders(folder: Path) -> None:
    """Leave what an archive of files has: the bundle is the same here and after a download."""
    for parent, _, _ in os.walk(folder, topdown=False):
        if parent != str(folder) and not os.listdir(parent):
            os.rmdir(parent)


def _quantize(
    model: Model, scheme: str, folder: Path, split: Split, progress: ProgressCallback
) -> QuantizationFigures:
    """Put a quantized graph beside the one that has been compared."""
    total, done = min(MAX_ROWS, model.onnx_parity_rows, split.n_rows), 0

    def rows() -> Iterator[Batch]:
        nonlocal done
        progress(Progress("quantize", 0, total, "rows"))
        for batch in spread_rows(split, total):
            for start in range(0, len(batch.codes), _BLOCK_ROWS):
                part = slice(start, start + _BLOCK_ROWS)
                yield Batch({"text": batch.inputs["text"][part]}, batch.codes[part])
                done += len(batch.codes[part])
                progress(Progress("quantize", done, total, "rows"))

    return model.quantize_onnx(folder, scheme, rows())


def _ir_version(folder: Path) -> int:
    """Return the version of the graph's file format; 0 if there is no graph."""
    graph = folder / "model.onnx"
    if not graph.exists():
        return 0
    import onnx

    # The weights are of no interest here.
    return int(onnx.load(graph, load_external_data=False).ir_version)
