"""Identity of a bundle's model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ktt_core.errors import CheckpointError
from ktt_serving.artifact_files import read_json

__all__ = ["IDENTITY_NAME", "Identity", "read_identity", "write_identity"]

#: Beside the model's files.
IDENTITY_NAME = "service.json"


@dataclass(frozen=True)
class Identity:
    """Facts about a bundle from its packer.

    Attributes
    ----------
    model, dataset : str
    display_name : str
        Readable name of the model.
    version : str
    gpu : bool
        Whether a graph runs on CUDA.
    monitoring : bool
        Whether the bundle has a monitoring service.
    """

    model: str
    dataset: str
    display_name: str
    version: str
    gpu: bool = False
    monitoring: bool = False


def write_identity(identity: Identity, folder: Path) -> None:
    """Write it into a folder of artifacts."""
    text = json.dumps(asdict(identity), ensure_ascii=False, indent=2)
    (folder / IDENTITY_NAME).write_text(text + "\n", encoding="utf-8")


def read_identity(folder: Path) -> Identity:
    """Read what `write_identity` wrote.

    Raises
    ------
    CheckpointError
        If it cannot be read.
    """
    path = folder / IDENTITY_NAME
    try:
        return Identity(**read_json(path))
    except TypeError as error:
        raise CheckpointError(f"{path} has other fields than it should: {error}") from error
