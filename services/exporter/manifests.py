"""The manifest.json of an exported folder: ktt.artifacts.v1.ExportManifest in protobuf's JSON."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

from google.protobuf import json_format

from exporter.results import (
    ExportedCheckpoint,
    ExportedFile,
    Manifest,
    MonitoringResult,
    ParityResult,
    QuantizationResult,
)
from ktt.artifacts.v1 import export_manifest_pb2 as pb
from ktt_core.errors import DataError
from ktt_core.quantization import GraphFigures, QuantizationFigures

__all__ = [
    "FORMAT_VERSION",
    "MANIFEST_NAME",
    "describe_files",
    "manifest_from_bytes",
    "manifest_from_proto",
    "manifest_to_bytes",
    "manifest_to_proto",
    "read_manifest",
    "sha256_of",
]

MANIFEST_NAME = "manifest.json"
FORMAT_VERSION = 1

# Far above any manifest: a folder has few files. What is larger is something else.
_MAX_BYTES = 16 * 1024**2


def manifest_to_proto(manifest: Manifest) -> pb.ExportManifest:
    """Return the message of a manifest."""
    message = pb.ExportManifest(
        format_version=manifest.format_version,
        format=manifest.format,
        model=manifest.model,
        dataset=manifest.dataset,
        checkpoint=pb.ExportedCheckpoint(
            file_name=manifest.checkpoint.file_name,
            label=manifest.checkpoint.label,
            run_time=manifest.checkpoint.run_time,
            sha256=manifest.checkpoint.sha256,
            dataset_fingerprint=manifest.checkpoint.dataset_fingerprint,
        ),
        versions=dict(manifest.versions),
        opset=manifest.opset,
        parity=pb.ParityResult(
            rows=manifest.parity.rows,
            split=manifest.parity.split,
            top_path_agreement=manifest.parity.top_path_agreement,
            max_probability_difference=manifest.parity.max_probability_difference,
            required_agreement=manifest.parity.required_agreement,
            tolerated_difference=manifest.parity.tolerated_difference,
            max_feature_difference=manifest.parity.max_feature_difference,
            tolerated_feature_difference=manifest.parity.tolerated_feature_difference,
        ),
        temperature=manifest.temperature,
        files=[
            pb.ExportedFile(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256)
            for file in manifest.files
        ],
        ir_version=manifest.ir_version,
    )
    if manifest.quantization is not None:
        message.quantization.CopyFrom(_quantization_to_proto(manifest.quantization))
    if manifest.monitoring is not None:
        message.monitoring.CopyFrom(pb.MonitoringResult(**vars(manifest.monitoring)))
    message.create_time.FromDatetime(manifest.create_time)
    return message


def manifest_from_proto(message: pb.ExportManifest) -> Manifest:
    """Undo `manifest_to_proto`."""
    checkpoint, parity = message.checkpoint, message.parity
    return Manifest(
        format=message.format,
        model=message.model,
        dataset=message.dataset,
        checkpoint=ExportedCheckpoint(
            file_name=checkpoint.file_name,
            label=checkpoint.label,
            run_time=checkpoint.run_time,
            sha256=checkpoint.sha256,
            dataset_fingerprint=checkpoint.dataset_fingerprint,
        ),
        versions=dict(message.versions),
        opset=message.opset,
        parity=ParityResult(
            rows=parity.rows,
            split=parity.split,
            top_path_agreement=parity.top_path_agreement,
            max_probability_difference=parity.max_probability_difference,
            required_agreement=parity.required_agreement,
            tolerated_difference=parity.tolerated_difference,
            max_feature_difference=_if_given(parity, "max_feature_difference"),
            tolerated_feature_difference=_if_given(parity, "tolerated_feature_difference"),
        ),
        temperature=message.temperature,
        files=tuple(
            ExportedFile(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256)
            for file in message.files
        ),
        create_time=message.create_time.ToDatetime(tzinfo=UTC),
        format_version=message.format_version,
        ir_version=message.ir_version,
        quantization=(
            _quantization_from_proto(message.quantization)
            if message.HasField("quantization")
            else None
        ),
        monitoring=(
            MonitoringResult(message.monitoring.reference_rows, message.monitoring.window_size)
            if message.HasField("monitoring")
            else None
        ),
    )


def _if_given(message: pb.ParityResult, field: str) -> float | None:
    return float(getattr(message, field)) if message.HasField(field) else None


def manifest_to_bytes(manifest: Manifest) -> bytes:
    """Return the content of the file; the same for the same manifest."""
    text = json_format.MessageToJson(manifest_to_proto(manifest), indent=2, sort_keys=True)
    return text.encode() + b"\n"


def manifest_from_bytes(content: bytes, path: Path) -> Manifest:
    """Undo `manifest_to_bytes`; `path` is for the message.

    Raises
    ------
    DataError
        If it is no manifest, or one of a later format.
    """
    try:
        message = json_format.Parse(
            content.decode(), pb.ExportManifest(), ignore_unknown_fields=True
        )
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path} is no manifest of an export: {str(error)[:200]}") from error
    if message.format_version != FORMAT_VERSION:
        raise DataError(
            f"{path} has format version {message.format_version}, and this is version "
            f"{FORMAT_VERSION}: another version of KTT wrote it"
        )
    return manifest_from_proto(message)


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of an exported folder.

    Raises
    ------
    DataError
        If it has none that can be read.
    """
    path = folder / MANIFEST_NAME
    try:
        # Nothing that links elsewhere, and no pipe, on which opening would wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            content = os.pread(descriptor, _MAX_BYTES + 1, 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > _MAX_BYTES:
        raise DataError(f"{path} is no manifest of an export: it is too large")
    return manifest_from_bytes(content, path)


def describe_files(folder: Path) -> tuple[ExportedFile, ...]:
    """Return the files of a folder and of those in it, by path, with their sizes and digests."""
    return tuple(
        ExportedFile(
            path=path.relative_to(folder).as_posix(),
            size_bytes=path.stat().st_size,
            sha256=sha256_of(path),
        )
        for path in sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix())
    )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _quantization_to_proto(result: QuantizationResult) -> pb.QuantizationResult:
    figures = result.figures
    return pb.QuantizationResult(
        scheme=figures.scheme,
        path=figures.path,
        rows=figures.rows,
        split=result.split,
        top_path_agreement=figures.top_path_agreement,
        batch_texts=figures.batch_texts,
        threads=figures.threads,
        original=pb.GraphFigures(**vars(figures.original)),
        quantized=pb.GraphFigures(**vars(figures.quantized)),
    )


def _quantization_from_proto(message: pb.QuantizationResult) -> QuantizationResult:
    figures = QuantizationFigures(
        scheme=message.scheme,
        path=message.path,
        rows=message.rows,
        top_path_agreement=message.top_path_agreement,
        batch_texts=message.batch_texts,
        threads=message.threads,
        original=_graph_from_proto(message.original),
        quantized=_graph_from_proto(message.quantized),
    )
    return QuantizationResult(message.split, figures)


def _graph_from_proto(message: pb.GraphFigures) -> GraphFigures:
    return GraphFigures(
        size_bytes=message.size_bytes,
        hierarchical_f1=message.hierarchical_f1,
        ms_alone=message.ms_alone,
        ms_batched=message.ms_batched,
    )


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)
