"""Packing a model's artifacts as a bundle, by a packer in a separate process."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktt_core.errors import DISK_FULL, JobFailedError, KttError, ResourceExhaustedError
from ktt_core.own_preprocessor import portable_source
from ktt_core.preprocessors.base import OWN_MODULE
from ktt_core.preprocessors.stored import PREPROCESSOR_FILE
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_core.registry import get_entry
from ktt_core.subprocesses import Ended, run_program
from ktt_packing.client.discovery import Packer, find_packer
from ktt_packing.client.monitoring import Watched, monitoring_files
from ktt_packing.client.staging import SERVICE_MODULE, stage_sources
from ktt_packing.request import PackRequest, write_request

if TYPE_CHECKING:
    from ktt_core.model import Model

__all__ = ["BundleOptions", "pack_bundle"]

# The system's messages for a full disk, quota or file.
_FULL = tuple(map(os.strerror, DISK_FULL))


@dataclass(frozen=True)
class BundleOptions:
    """Options of a bundle.

    Attributes
    ----------
    dataset : str
        Dataset that the model was trained on.
    version : str
        Version of the service: letters and digits.
    gpu : bool
        Whether the service's image runs on CUDA.
    reference_set : Path or None
        Reference set for monitoring; None: no monitoring.
    """

    dataset: str
    version: str
    gpu: bool = False
    reference_set: Path | None = None


def pack_bundle(
    model: Model,
    artifacts: Path,
    output: Path,
    options: BundleOptions,
    progress: ProgressCallback = ignore_progress,
    scratch: Path | None = None,
) -> Watched | None:
    """Make a bundle; return what its monitor compares, if it has one.

    Parameters
    ----------
    model : Model
    artifacts : Path
        Folder with the results of the model's `export_artifacts`.
    output : Path
        An existing, empty folder.
    options : BundleOptions
    progress : callable
        Called with the phases "packer", if one has to be made first, and "pack".
    scratch : Path, optional
        Folder for temporary files. Default: the system's.

    Raises
    ------
    FailedPreconditionError
        If there is no packer and none can be made, or the reference set is of another model.
    UnsupportedError
        If the model has no service.
    JobFailedError
        If the packer fails, or is killed.
    ResourceExhaustedError
        If the disk is full.
    """
    entry = get_entry(model.model_id)
    package = entry.load.__module__
    with tempfile.TemporaryDirectory(prefix="pack-", dir=scratch) as name:
        place = Path(name).resolve()
        sources = place / "sources"
        stage_sources(sources, model.model_id, package, model.served_like)
        _stage_preprocessor(model, artifacts, sources)
        monitoring = watched = None
        if options.reference_set is not None:
            service = sources.joinpath(*package.split("."), "bentoml")
            monitoring, watched = monitoring_files(
                model, options.dataset, artifacts, options.reference_set, service, place
            )
        request = PackRequest(
            model=model.model_id,
            dataset=options.dataset,
            display_name=entry.display_name,
            service_module=f"{package}.{SERVICE_MODULE}",
            artifacts=artifacts.absolute(),
            output=output.absolute(),
            service_version=options.version,
            gpu=options.gpu,
            sources=sources,
            monitoring=monitoring,
        )
        packer = find_packer(progress)
        progress(Progress("pack"))
        _run(packer, request, place)
    if not (output / "inference").is_dir():
        raise JobFailedError("the packer reported success, but made no service")
    return watched


def _stage_preprocessor(model: Model, artifacts: Path, sources: Path) -> None:
    """Put a model's own preprocessor where the artifacts' one is looked up."""
    if (artifacts / PREPROCESSOR_FILE).is_file():
        source = portable_source(model.preprocessor, model.model_id)
        if source is not None:
            place = sources / "ktt_core" / "preprocessors" / f"{OWN_MODULE}.py"
            place.write_text(source, encoding="utf-8")


def _run(packer: Packer, request: PackRequest, place: Path) -> None:
    file = place / "request.json"
    write_request(request, file)
    environment = packer.environment(place / "sources", place)
    try:
        ended = run_program([*packer.command, file], environment, place)
    except OSError as error:
        raise JobFailedError(
            f"the packer {packer.command[0]} cannot be started: {error.strerror or error}"
        ) from error
    answer = _last_object(ended)
    if ended.code != 0 or "error" in answer:
        raise _failure(ended, answer, packer.command[0])


def _last_object(ended: Ended) -> dict[str, Any]:
    """Return the last JSON object that the packer printed, or an empty dict."""
    for line in reversed(ended.output.splitlines()):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return {}


def _failure(ended: Ended, answer: Mapping[str, Any], program: str) -> KttError:
    if ended.killed_by:
        hint = ""
        if ended.killed_by == "SIGKILL":
            hint = " (the system does that when memory runs out)"
        return JobFailedError(
            f"the packer was killed by {ended.killed_by}{hint}; nothing was published"
        )
    message = answer.get("error")
    if not message and ended.could_not_run:
        return JobFailedError(
            f"the packer {program} cannot be run here (exit code {ended.code}): the interpreter "
            "that its first line names, mostly python3.11, must be on the PATH and work; without "
            "KTT_PACKER and --packer one is found or fetched"
        )
    if not message:
        return JobFailedError(
            f"the packer ended with exit code {ended.code} and did not say why; the job's log "
            "has what it wrote"
        )
    if str(message).endswith(_FULL):
        return ResourceExhaustedError(
            f"the bundle could not be packed: {message}; free some room on that disk"
        )
    return JobFailedError(f"the bundle could not be packed: {message}")
