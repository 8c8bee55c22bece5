"""Folders of exports, ``outputs/<model>_<dataset>``, and their ownership."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TypeVar

from exporter.commit_markers import record_published
from exporter.manifests import MANIFEST_NAME, read_manifest
from exporter.requests import ExportSpec
from ktt_core.atomic import atomic_directory, sweep_leftovers
from ktt_core.errors import DataError, FailedPreconditionError
from ktt_core.locks import locked
from ktt_core.names import check_name

__all__ = ["check_owner", "export_folder", "folder_name", "make_export", "sweep_exports"]

Result = TypeVar("Result")

_PLACES = {"onnx": "outputs", "bento": "build"}
_LOCK_NAME = ".lock"


def folder_name(model: str, dataset: str) -> str:
    """Return the name of an export's folder.

    Two pairs may share a name, "a_b" on "c" and "a" on "b_c": `check_owner` tells them apart.
    """
    return f"{check_name(model, 'model')}_{check_name(dataset, 'dataset')}"


def export_folder(workspace: Path, spec: ExportSpec) -> Path:
    """Return the folder of an export; it need not exist."""
    return workspace / _PLACES[spec.format] / folder_name(spec.model, spec.dataset)


def check_owner(folder: Path, spec: ExportSpec) -> None:
    """Check that a folder holds an older export of the same pair and format, if it exists.

    Raises
    ------
    FailedPreconditionError
        If the path is anything but an export of this model on this dataset in this format.
    """
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise FailedPreconditionError(f"{folder} is in the way: it is not a folder; move it")
    if not os.path.lexists(folder / MANIFEST_NAME):
        raise FailedPreconditionError(
            f"{folder} is not replaced: it has no {MANIFEST_NAME}, so it is not from an export; "
            "move it, or remove it"
        )
    try:
        manifest = read_manifest(folder)
    except DataError as error:
        raise FailedPreconditionError(
            f"{folder} is not replaced: {error}; move it, or remove it"
        ) from error
    if (manifest.model, manifest.dataset) != (spec.model, spec.dataset):
        raise FailedPreconditionError(
            f"{folder} is not replaced: it is the export of {manifest.model!r} on "
            f"{manifest.dataset!r}, whose name is the same as that of {spec.model!r} on "
            f"{spec.dataset!r}; move it, or remove it"
        )
    if manifest.format != spec.format:
        raise FailedPreconditionError(
            f"{folder} is not replaced: it is an export to {manifest.format!r}, not to "
            f"{spec.format!r}; move it, or remove it"
        )


def make_export(
    folder: Path,
    spec: ExportSpec,
    write: Callable[[Path], Result],
    recording: Callable[[Result], AbstractContextManager[object]],
) -> Result:
    """Write an export to a hidden folder, and replace the older one by it atomically.

    Parameters
    ----------
    folder : Path
        Target folder.
    spec : ExportSpec
    write : callable
        Fills a given folder. If it raises, nothing is published.
    recording : callable
        Takes the result of `write` and returns a context that is entered around the replacement,
        after the last check.

    Raises
    ------
    FailedPreconditionError
        If `folder` belongs to something else, before or after writing.
    OSError
        If writing fails; the older export stays.
    """
    check_owner(folder, spec)
    sweep_exports(folder.parent.parent)
    with ExitStack() as staged:
        hidden = staged.enter_context(atomic_directory(folder, replace=True))
        result = write(hidden)
        # Check and replacement are one critical section, where the file system has locks.
        with locked(folder.parent / _LOCK_NAME):
            check_owner(folder, spec)
            record_published(folder.parent.parent, folder)
            with recording(result):
                staged.close()
    return result


def sweep_exports(workspace: Path) -> list[Path]:
    """Remove leftovers of killed exports; return their paths."""
    places = [workspace / place for place in _PLACES.values()]
    return [path for place in places if place.is_dir() for path in sweep_leftovers(place)]
