"""Check an export before its job is created."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exporter.checkpoints import locate
from exporter.folders import check_owner, export_folder
from exporter.requests import FORMATS, QUANTIZATIONS, ExportSpec
from exporter.rows import parity_split
from ktt_core.checkpoints.paths import CheckpointFile, reference_path
from ktt_core.errors import InvalidArgumentError, UnsupportedError
from ktt_core.fields import at_field
from ktt_core.registry import get_entry
from ktt_packing.client.discovery import check_packer
from ktt_packing.client.monitoring import check_reference_rows
from ktt_packing.client.staging import find_service

if TYPE_CHECKING:
    from exporter.handlers import Exporter

__all__ = ["check_export", "validate"]


def validate(exporter: Exporter, spec: ExportSpec, submitted: bool) -> None:
    """Check an export for a server or a command; see `check_export`."""
    check_export(exporter.root, spec)


def check_export(workspace: Path, spec: ExportSpec) -> None:
    """Check all that can be known before the job starts.

    The job does not repeat this: it looks up its inputs again (`exporter.planning.plan_export`),
    and the steps that use the folder, the packer and the reference set check those.

    Raises
    ------
    InvalidArgumentError
        If the spec is invalid; `field` names the field.
    UnsupportedError
        If the model or this version cannot write the format.
    NotFoundError
        If there is no such model or checkpoint.
    FailedPreconditionError
        If there are no rows to compare on, the folder belongs to something else, or a bundle has
        no packer or too small a reference set.
    """
    with at_field("format"):
        if spec.format not in FORMATS:
            raise InvalidArgumentError(
                f"the format of an export is {' or '.join(map(repr, FORMATS))}, not "
                f"{spec.format!r:.60}"
            )
    with at_field("quantization"):
        if spec.quantize is not None and spec.quantize not in QUANTIZATIONS:
            raise InvalidArgumentError(
                f"a graph is quantized to {' or '.join(map(repr, QUANTIZATIONS))}, "
                f"not {spec.quantize!r:.60}"
            )
        if spec.quantize is not None and spec.gpu:
            raise InvalidArgumentError(
                f"a graph quantized to {spec.quantize} runs on CPUs, not on CUDA: export it "
                "without one of the two options"
            )
    with at_field("gpu"):
        if spec.gpu and spec.format != "bento":
            raise InvalidArgumentError(
                f"the GPU option applies to exports to 'bento' only, not to {spec.format!r}"
            )
    model_class, file = locate(workspace, spec.dataset, spec.model, spec.label, spec.time)
    if spec.format not in model_class.export_formats:
        formats = ", ".join(sorted(model_class.export_formats)) or "no format yet"
        raise UnsupportedError(f"{spec.model} does not export {spec.format}; it exports: {formats}")
    if spec.gpu and not model_class.serves_on_gpu:
        raise UnsupportedError(
            f"{spec.model} does not compute on a GPU; export it without this option"
        )
    if spec.format == "bento":
        package = get_entry(spec.model).load.__module__
        find_service(spec.model, package, model_class.served_like)
        if spec.monitoring:
            _check_reference_rows(file)
        check_packer()
    if spec.quantize is not None and spec.quantize not in model_class.quantizations:
        raise UnsupportedError(
            f"{spec.model} cannot be quantized to {spec.quantize}: quantization applies to the "
            "matrix products of an encoder, and this model has none; export it without this option"
        )
    parity_split(workspace, spec.dataset)
    check_owner(export_folder(workspace, spec), spec)


def _check_reference_rows(file: CheckpointFile) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = reference_path(file.path.parent, file.time)
    if not path.is_file():
        return  # a bundle without monitoring
    try:
        n_rows = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return  # the job reports what is wrong with it
    check_reference_rows(n_rows, path)
