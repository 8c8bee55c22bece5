"""Listing of the encoders on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ktt_core.errors import KttError
from ktt_models.pytorch.encoders.discovery import (
    ENCODERS_VARIABLE,
    cache_folder,
    encoder_folders,
    package_folders,
    snapshot,
)
from ktt_models.pytorch.encoders.folder import CONFIG_FILE, read_facts

__all__ = ["FoundEncoder", "list_encoders"]


@dataclass(frozen=True)
class FoundEncoder:
    """One encoder on this machine.

    Attributes
    ----------
    name : str
        Value for ``--set encoder=...``.
    source : str
        Where it was found: "huggingface cache", "KTT_ENCODERS" or "package".
    path : Path
        Its folder.
    architecture : str
        Its ``model_type``, as transformers names it; "" if it cannot be read.
    width, layers, parameters, max_length : int
        As in `EncoderFacts`; 0 if unknown.
    problem : str
        Why it cannot be used; "" if it can.
    """

    name: str
    source: str
    path: Path
    architecture: str = ""
    width: int = 0
    layers: int = 0
    parameters: int = 0
    max_length: int = 0
    problem: str = ""


def list_encoders() -> list[FoundEncoder]:
    """Return the encoders found on this machine, by name; the first of a name is the one used.

    Reads configs and the headers of weight files, and imports no framework.
    """
    found: dict[str, FoundEncoder] = {}
    for name, source, path in _candidates():
        entry = _describe(name, source, path)
        # As in `find_encoder`, a complete one takes precedence over a broken one of the same name.
        if name not in found or (found[name].problem and not entry.problem):
            found[name] = entry
    return sorted(found.values(), key=lambda entry: entry.name)


def _candidates() -> Iterator[tuple[str, str, Path]]:
    for folder in encoder_folders():
        # A folder that is an encoder itself is listed by its path.
        if (folder / CONFIG_FILE).is_file():
            yield str(folder), ENCODERS_VARIABLE, folder
        for config in sorted(
            [*folder.glob(f"*/{CONFIG_FILE}"), *folder.glob(f"*/*/{CONFIG_FILE}")]
        ):
            inner = config.parent
            # Subfolders of an encoder, such as its pooling's settings, are not encoders.
            if not (inner.parent / CONFIG_FILE).is_file():
                yield str(inner.relative_to(folder)), ENCODERS_VARIABLE, inner
    for repository in sorted(cache_folder().glob("models--*")):
        path = snapshot(repository)
        if path is not None and (path / CONFIG_FILE).is_file():
            name = repository.name.removeprefix("models--").replace("--", "/", 1)
            yield name, "huggingface cache", path
    for package, path in package_folders():
        yield package, "package", path


def _describe(name: str, source: str, path: Path) -> FoundEncoder:
    try:
        facts = read_facts(path)
    except KttError as error:
        return FoundEncoder(name, source, path, problem=str(error))
    return FoundEncoder(
        name,
        source,
        path,
        facts.architecture,
        facts.width,
        facts.layers,
        facts.parameters,
        facts.max_length,
    )
