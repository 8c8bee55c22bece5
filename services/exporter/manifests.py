"""The manifest.json of an exported folder: ktt.artifacts.v1.ExportManifest in protobuf's JSON."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from exporter.results import (
    ExportedCheckpoint,
    ExportedFile,
    Manifest,
    MonitoringResult,
    ParityResult,
    QuantizationResult,
)
from ktt.artifacts.v1 import export_manifest_pb2 as pb
from ktt_core.documents import Document
from ktt_core.errors import DataError
from ktt_core.quantization import GraphFigures, QuantizationFigures
from ktt_core.regular_files import open_regular

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

# Far larger than any manifest: a folder has few files.
_MAX_BYTES = 16 * 1024**2

D = TypeVar("D", bound=Document)


def manifest_to_proto(manifest: Manifest) -> pb.ExportManifest:
    """Return the message of a manifest."""
    values = manifest.to_json()
    del values["create_time"]
    if (quantization := values["quantization"]) is not None:
        values["quantization"] = {"split": quantization["split"], **quantization["figures"]}
    message = pb.ExportManifest(**values)
    message.create_time.FromDatetime(manifest.create_time)
    return message


def manifest_from_proto(message: pb.ExportManifest) -> Manifest:
    """Undo `manifest_to_proto`."""
    return _from_proto(
        Manifest,
        message,
        checkpoint=_from_proto(ExportedCheckpoint, message.checkpoint),
        versions=dict(message.versions),
        parity=_from_proto(ParityResult, message.parity),
        files=tuple(_from_proto(ExportedFile, file) for file in message.files),
        create_time=message.create_time.ToDatetime(tzinfo=UTC),
        quantization=(
            _quantization(message.quantization) if message.HasField("quantization") else None
        ),
        monitoring=(
            _from_proto(MonitoringResult, message.monitoring)
            if message.HasField("monitoring")
            else None
        ),
    )


def manifest_to_bytes(manifest: Manifest) -> bytes:
    """Return the content of the file; the same for the same manifest."""
    text = json_format.MessageToJson(manifest_to_proto(manifest), indent=2, sort_keys=True)
    return text.encode() + b"\n"


def manifest_from_bytes(content: bytes, path: Path) -> Manifest:
    """Undo `manifest_to_bytes`; `path` is for the message.

    Raises
    ------
    DataError
        If it is not a manifest, or has a newer format version.
    """
    try:
        message = json_format.Parse(
            content.decode(), pb.ExportManifest(), ignore_unknown_fields=True
        )
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not a manifest of an export: {str(error)[:200]}") from error
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
        If it has no readable manifest.
    """
    path = folder / MANIFEST_NAME
    try:
        # Not through links, and without blocking on a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            content = os.pread(descriptor, _MAX_BYTES + 1, 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > _MAX_BYTES:
        raise DataError(f"{path} is not a manifest of an export: it is too large")
    return manifest_from_bytes(content, path)


def describe_files(folder: Path) -> tuple[ExportedFile, ...]:
    """Return the files of a folder and its subfolders, by path, with their sizes and digests."""
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
    with os.fdopen(open_regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _quantization(message: pb.QuantizationResult) -> QuantizationResult:
    graphs = {
        name: _from_proto(GraphFigures, getattr(message, name))
        for name in ("original", "quantized")
    }
    return QuantizationResult(message.split, _from_proto(QuantizationFigures, message, **graphs))


def _from_proto(kind: type[D], message: Message, **parts: Any) -> D:
    """Return the document of a message, of which `parts` are converted already.

    An optional value that is not set gets the document's default.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for field in message.DESCRIPTOR.fields:
        name = field.name
        if name in known and not (field.has_presence and not message.HasField(name)):
            parts.setdefault(name, getattr(message, name))
    return kind(**parts)


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)
