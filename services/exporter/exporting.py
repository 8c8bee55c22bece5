"""One export: load, write, compare, publish. Runs in the worker process of a job."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter.commit_markers import marker_name, published_output
from exporter.folders import export_folder, make_export
from exporter.formats import write_bundle, write_onnx
from exporter.job_kind import workspace_of
from exporter.manifests import MANIFEST_NAME, describe_files, manifest_to_bytes, sha256_of
from exporter.planning import ExportPlan, plan_export
from exporter.requests import ExportSpec
from exporter.results import ExportedCheckpoint, ExportResult, Manifest
from ktt_core.atomic import atomic_file, fsync_directory
from ktt_core.checkpoints.record import installed_versions
from ktt_core.errors import CheckpointError, NotFoundError
from ktt_core.model_code import blaming_models
from ktt_core.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from ktt_core.checkpoints.paths import CheckpointFile
    from ktt_core.model import Model
    from ktt_jobs import TaskContext

__all__ = ["run_export"]

_PACKAGES = ("numpy", "onnx", "onnxruntime", "protobuf")


@blaming_models(logged=True)
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
        If it fails, or its results differ from its checkpoint's. Nothing is published then.
    """
    spec = ExportSpec.from_json(value)
    workspace = workspace_of(context.folder)
    context.progress(Progress("load"))
    plan = plan_export(workspace, spec)
    folder = export_folder(workspace, spec)

    def write(staging: Path) -> dict[str, Any]:
        manifest = _write(plan, staging, context.folder, context.progress)
        (staging / MANIFEST_NAME).write_bytes(manifest_to_bytes(manifest))
        (staging / marker_name(context.job_id)).touch()
        return ExportResult(folder.relative_to(workspace).as_posix(), manifest).to_json()

    return make_export(folder, spec, write, lambda result: _publishing(context, folder, result))


@contextmanager
def _publishing(context: TaskContext, folder: Path, result: dict[str, Any]) -> Iterator[None]:
    # The marker is published with the folder, in the same step, so that recovery can tell whether
    # this process was killed before or after it. It is then replaced by a file that the next export
    # does not replace. All writes that a full disk could fail happen before the step.
    ready, done = context.folder / "ready", published_output(context.folder)
    mark = folder / marker_name(context.job_id)
    with atomic_file(ready) as temporary:
        temporary.write_bytes(b"")
    with context.publishing(result, outputs=done, commit_marker=mark):
        yield
        ready.rename(done)
        fsync_directory(done.parent)
        with suppress(OSError):
            # Harmless if it stays: the next sweep removes it.
            mark.unlink()


def _write(plan: ExportPlan, staging: Path, scratch: Path, progress: ProgressCallback) -> Manifest:
    """Write the files of an export except its manifest, which is returned."""
    model, checkpoint = _load(plan)
    if plan.spec.format == "bento":
        written = write_bundle(plan, model, staging, scratch, progress)
    else:
        written = write_onnx(plan, model, staging, progress)
    return Manifest(
        format=plan.spec.format,
        model=plan.spec.model,
        dataset=plan.spec.dataset,
        checkpoint=checkpoint,
        # The packages that compute the model are declared by its framework's base class.
        versions=installed_versions(*_PACKAGES, *getattr(model, "packages", ())),
        opset=model.onnx_opset if written.ir_version else 0,
        parity=written.parity,
        temperature=model.temperature,
        files=describe_files(staging),
        create_time=datetime.now(UTC),
        ir_version=written.ir_version,
        quantization=written.quantization,
        monitoring=written.monitoring,
    )


def _load(plan: ExportPlan) -> tuple[Model, ExportedCheckpoint]:
    file = plan.checkpoint
    try:
        before = _stamp(file.path)
        digest = sha256_of(file.path)
        model = plan.model_class.from_checkpoint(file.path)
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
        dataset_fingerprint=model.record.fingerprint,
    )


def _stamp(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns
