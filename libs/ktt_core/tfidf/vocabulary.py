"""Writes the vocabulary beside an exported graph; `ktt_core.tfidf.text_rows` reads it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ktt_core.tfidf.text_rows import ARRAYS_NAME, FORMAT_VERSION, PARAMS_NAME
from ktt_core.tfidf.vectorizer import TfidfVectorizer

__all__ = ["write_vocabulary"]


def write_vocabulary(vectorizer: TfidfVectorizer, folder: Path) -> None:
    """Write the files of `TextRows`; the same vocabulary gives the same bytes."""
    arrays, params = vectorizer.state_dict()
    value = {"format_version": FORMAT_VERSION, "vectorizer": params}
    (folder / PARAMS_NAME).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    np.savez(folder / ARRAYS_NAME, **arrays)  # type: ignore[arg-type]
