"""One export: load, write, compare, publish. Runs in the worker process of a job."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.checking import check_export
from exporter.checkpoints import locate
from exporter.folders import export_folder, make_export
from exporter.job_kind import workspace_of
from exporter.manifests import MANIFEST_NAME, describe_files, manifest_to_bytes, sha256_of
from exporter.marks import mark_name, proof_in
from exporter.requests import ExportSpec
from exporter.results import (
    ExportedCheckpoint,
    ExportResult,
    Manifest,
    ParityResult,
    QuantizationResult,
)
from exporter.rows import MAX_ROWS, parity_split, spread_rows, spread_texts
from ktt_core.atomic import atomic_file, fsync_directory
from ktt_core.checkpoint_record import KeepsRecord, installed_versions
from ktt_core.errors import CheckpointError, JobFailedError, NotFoundError
from ktt_core.model import Batch
from ktt_core.parity import MAX_PROBABILITY_DIFFERENCE, MIN_TOP_PATH_AGREEMENT, ParityFigures
from ktt_core.progress import Progress, ProgressCallback
from ktt_core.quantization import QuantizationFigures

if TYPE_CHECKING:
    from ktt_core.checkpoint_names import CheckpointFile
    from ktt_core.datasets.dataset import Split
    from ktt_core.model import Model
    from ktt_jobs import TaskContext

__all__ = ["run_export"]

# Rows between two signs of life.
_BLOCK_ROWS = 32
_PACKAGES = ("numpy", "onnx", "onnxruntime", "protobuf")


def run_export(value: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Make an export.

    Parameters
    ----------
    value : mapping
        An `ExportSpec`'s JSON.
    context : TaskContext

    Returns
    -------
    dict
        An `ExportResult`'s JSON.

    Raises
    ------
    KttError
        If it cannot be made, or does not answer as its checkpoint does. Nothing is published then.
    """
    spec = ExportSpec.from_json(value)
    workspace = workspace_of(context.folder)
    context.progress(Progress("load"))
    check_export(workspace, spec)
    folder = export_folder(workspace, spec)

    def write(staging: Path) -> dict[str, Any]:
        manifest = _write(workspace, spec, staging, context.progress)
        (staging / MANIFEST_NAME).write_bytes(manifest_to_bytes(manifest))
        (staging / mark_name(context.job_id)).touch()
        return ExportResult(folder.relative_to(workspace).as_posix(), manifest).to_json()

    return make_export(folder, spec, write, lambda result: _publishing(context, folder, result))


@contextmanager
def _publishing(context: TaskContext, folder: Path, result: dict[str, Any]) -> Iterator[None]:
    # The mark comes with the folder, in the same step, so whatever moment this process is killed at
    # tells whether it was done. It gives way to a proof that the next export does not replace.
    # All that could fail for want of room is done before the step.
    ready, done = context.folder / "ready", proof_in(context.folder)
    mark = folder / mark_name(context.job_id)
    with atomic_file(ready) as temporary:
        temporary.write_bytes(b"")
    with context.publishing(result, proof=done, sign=mark):
        yield
        ready.rename(done)
        fsync_directory(done.parent)
        with suppress(OSError):
            # It does no harm: the next sweep removes it.
            mark.unlink()


def _write(
    workspace: Path, spec: ExportSpec, staging: Path, progress: ProgressCallback
) -> Manifest:
    """Fill a folder, all but the manifest, which is returned."""
    model, checkpoint = _load(workspace, spec)
    progress(Progress("export"))
    model.export_onnx(staging)
    name, split = parity_split(workspace, spec.dataset)
    parity = _compare(model, staging, name, split, progress)
    quantization = None
    if spec.quantize is not None:
        figures = _quantize(model, spec.quantize, staging, split, progress)
        quantization = QuantizationResult(name, figures)
    return Manifest(
        format=spec.format,
        model=spec.model,
        dataset=spec.dataset,
        checkpoint=checkpoint,
        # A framework's base class says which packages its models are computed with.
        versions=installed_versions(*_PACKAGES, *getattr(model, "packages", ())),
        opset=model.onnx_opset,
        parity=parity,
        temperature=model.temperature,
        files=describe_files(staging),
        create_time=datetime.now(timezone.utc),
        ir_version=_ir_version(staging),
        quantization=quantization,
    )


def _load(workspace: Path, spec: ExportSpec) -> tuple[Model, ExportedCheckpoint]:
    model_class, file = locate(workspace, spec.dataset, spec.model, spec.label, spec.time)
    try:
        before = _stamp(file.path)
        digest = sha256_of(file.path)
        model = model_class.from_checkpoint(file.path)
        after = _stamp(file.path)
    except FileNotFoundError:
        raise NotFoundError(f"the checkpoint {file.path} has just been removed") from None
    if before != after:
        raise CheckpointError(f"{file.path} was replaced while it was read; export again")
    return model, _describe(file, digest, model)


def _describe(file: CheckpointFile, digest: str, model: Model) -> ExportedCheckpoint:
    return ExportedCheckpoint(
        file_name=file.path.name,
        label=file.label,
        run_time=file.time,
        sha256=digest,
        dataset_fingerprint=model.record.fingerprint if isinstance(model, KeepsRecord) else "",
    )


def _stamp(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _compare(
    model: Model, staging: Path, name: str, split: Split, progress: ProgressCallback
) -> ParityResult:
    """Compare the folder's own files with the model on real rows, and refuse what differs."""
    total = min(MAX_ROWS, model.onnx_parity_rows, split.n_rows)

    def texts() -> Iterator[str]:
        progress(Progress("parity", 0, total, "rows"))
        for done, text in enumerate(spread_texts(split, total), 1):
            yield text
            progress(Progress("parity", done, total, "rows"))

    figures = model.onnx_parity(staging, texts())
    _gate(model, figures, name)
    return ParityResult(
        rows=figures.rows,
        split=name,
        top_path_agreement=figures.top_path_agreement,
        max_probability_difference=figures.max_probability_difference,
        required_agreement=MIN_TOP_PATH_AGREEMENT,
        tolerated_difference=MAX_PROBABILITY_DIFFERENCE,
    )


def _quantize(
    model: Model, scheme: str, staging: Path, split: Split, progress: ProgressCallback
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

    return model.quantize_onnx(staging, scheme, rows())


def _ir_version(folder: Path) -> int:
    import onnx

    # The weights are of no interest here.
    return int(onnx.load(folder / "model.onnx", load_external_data=False).ir_version)


def _gate(model: Model, figures: ParityFigures, split: str) -> None:
    if not figures.passed:
        raise JobFailedError(
            f"the exported {model.model_id} does not answer as its checkpoint does: on "
            f"{figures.rows:,} rows of {split}, {figures.top_path_agreement:.4%} have the same "
            f"most probable path (at least {MIN_TOP_PATH_AGREEMENT:.1%} must), and a leaf's "
            f"probability differs by up to {figures.max_probability_difference:.2g} (at most "
            f"{MAX_PROBABILITY_DIFFERENCE:.0e} may); nothing was published"
        )
