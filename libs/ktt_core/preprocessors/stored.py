"""The preprocessor of an exported model, applied to texts before its tokenizer or vectorizer."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ktt_core.errors import CheckpointError, KttError
from ktt_core.preprocessors.base import BasePreprocessor, preprocessor_from_json

__all__ = ["PREPROCESSOR_FILE", "read_preprocessor", "write_preprocessor"]

PREPROCESSOR_FILE = "preprocessor.json"


def write_preprocessor(preprocessor: BasePreprocessor, folder: Path) -> None:
    """Write the preprocessor's state, unless it leaves texts unchanged."""
    if type(preprocessor) is not BasePreprocessor:
        text = json.dumps(preprocessor.to_json(), indent=2)
        (folder / PREPROCESSOR_FILE).write_text(text + "\n", encoding="utf-8")


def read_preprocessor(folder: str | os.PathLike[str]) -> BasePreprocessor:
    """Read the preprocessor of a folder; without a file, one that leaves texts unchanged.

    Raises
    ------
    CheckpointError
        If the file is damaged, or its kind is unknown.
    """
    file = Path(folder) / PREPROCESSOR_FILE
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return BasePreprocessor()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from error
    try:
        return preprocessor_from_json(json.loads(text))
    except (KttError, RecursionError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be used: {error}") from error
