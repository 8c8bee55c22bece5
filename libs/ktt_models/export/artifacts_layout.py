"""Artifacts that a bundle serves a model from: arrays, JSON and graphs, readable by any Python.

A folder of artifacts holds ``model.json``, ``hierarchy.json``, and by its kind

- "onnx": ``model.onnx`` and ``tokenizer.json``, as an ONNX export has them;
- "tfidf": ``vocabulary.json`` and ``vocabulary.npz``, ``weights.json`` and ``weights.npz``: the
  trained solver's state.

No file of it is code, or is read with pickle.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ktt_core.reference import leaf_column_names

if TYPE_CHECKING:
    from ktt_core.model import Model

__all__ = ["MODEL_NAME", "write_description"]

MODEL_NAME = "model.json"

_FORMAT_VERSION = 1


def write_description(
    model: Model,
    folder: Path,
    kind: Literal["onnx", "tfidf"],
    feature_titles: Sequence[str],
    **more: Any,
) -> None:
    """Write ``model.json``.

    Parameters
    ----------
    model : Model
    folder : Path
    kind : {"onnx", "tfidf"}
        How the model is served.
    feature_titles : sequence of str
        Readable names of the features in monitoring rows and in the reference set.
    **more
        Further entries.
    """
    value = {
        "format_version": _FORMAT_VERSION,
        "model": model.model_id,
        "kind": kind,
        "temperature": model.temperature,
        "feature_names": [str(number) for number in range(len(feature_titles))],
        "feature_titles": list(feature_titles),
        "score_columns": list(leaf_column_names(model.taxonomy)),
        **more,
    }
    text = json.dumps(value, ensure_ascii=False, indent=2)
    (folder / MODEL_NAME).write_text(text + "\n", encoding="utf-8")
