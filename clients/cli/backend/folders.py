"""Ownership and integrity of exports' folders on this machine."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ktt_core.documents import parse_object
from ktt_core.errors import ConflictError, DataError
from ktt_core.regular_files import open_regular

__all__ = ["check_files", "check_owner", "folder_name", "read_manifest"]

MANIFEST = "manifest.json"
_MAX_BYTES = 16 * 1024**2


def folder_name(model: str, dataset: str) -> str:
    """Return the name of an export's folder."""
    return f"{model}_{dataset}"


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a folder's manifest: ktt.artifacts.v1.ExportManifest in protobuf's JSON.

    Raises
    ------
    DataError
        If there is no manifest, or it is not valid.
    """
    path = folder / MANIFEST
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            content = file.read(_MAX_BYTES)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    return parse_object(
        content,
        lambda problem: DataError(f"{path} is not a manifest of an export: it is {problem}"),
    )


def check_owner(folder: Path, model: str, dataset: str, form: str) -> None:
    """Check that a folder, if it exists, is an export of the same model, dataset and format.

    Raises
    ------
    ConflictError
        If it is anything else.
    """
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise ConflictError(
            f"{folder} is in the way: it is not a folder; move it, or give --output"
        )
    try:
        manifest = read_manifest(folder)
    except DataError as error:
        raise ConflictError(
            f"{folder} is not replaced, it is not from an export: {error}; move it, remove it, or "
            "give --output"
        ) from error
    owner = (manifest.get("model"), manifest.get("dataset"))
    if owner != (model, dataset):
        raise ConflictError(
            f"{folder} is not replaced: it is the export of {owner[0]!r} on {owner[1]!r}; move it, "
            "remove it, or give --output"
        )
    if manifest.get("format", form) != form:
        raise ConflictError(
            f"{folder} is not replaced: it is an export to {manifest['format']!r:.40}, not to "
            f"{form!r}; move it, remove it, or give --output"
        )


def check_files(folder: Path, model: str, dataset: str) -> dict[str, Any]:
    """Verify a folder's files against its manifest, and return the manifest.

    Raises
    ------
    DataError
        If the manifest is of another export, or a file is missing, changed, or not listed.
    """
    manifest = read_manifest(folder)
    found = (manifest.get("model"), manifest.get("dataset"))
    if found != (model, dataset):
        raise DataError(
            f"the manifest is that of {found[0]!r} on {found[1]!r}, not of {model!r} on {dataset!r}"
        )
    said = dict(_said(manifest))
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if there != {*said, MANIFEST}:
        odd = sorted(there ^ {*said, MANIFEST})
        raise DataError(f"the manifest and the folder differ in {', '.join(odd[:5])}")
    for name, digest in said.items():
        try:
            with os.fdopen(open_regular(folder / name), "rb") as file:
                own = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataError(f"{folder / name} cannot be read: {error.strerror or error}") from error
        if own != digest:
            raise DataError(f"{name} is not what the manifest says: its checksum differs")
    return manifest


def _said(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    files = manifest.get("files", [])
    if not isinstance(files, list):
        raise DataError("the manifest's files are not a list")
    for entry in files:
        path = entry.get("path") if isinstance(entry, dict) else None
        digest = entry.get("sha256") if isinstance(entry, dict) else None
        if not isinstance(path, str) or not isinstance(digest, str):
            raise DataError("the manifest names a file without its path or its checksum")
        yield path, digest
