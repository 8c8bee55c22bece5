"""Files of artifacts that all kinds of models have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktt_core.errors import CheckpointError, KttError
from ktt_core.taxonomy import Taxonomy

__all__ = ["DESCRIPTION_NAME", "read_json", "read_taxonomy"]

#: Describes a model's kind.
DESCRIPTION_NAME = "model.json"
HIERARCHY_NAME = "hierarchy.json"


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file.

    Raises
    ------
    CheckpointError
        If it cannot be read, or is not an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, Mapping):
        raise CheckpointError(f"{path} does not hold a JSON object")
    return dict(value)


def read_taxonomy(folder: Path) -> Taxonomy:
    """Return the classes of a folder of artifacts.

    Raises
    ------
    CheckpointError
        If they cannot be read.
    """
    path = folder / HIERARCHY_NAME
    value = read_json(path)
    try:
        return Taxonomy.from_json(value["taxonomy"])
    except (KeyError, KttError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
