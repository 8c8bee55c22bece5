"""What answers texts: one interface, whatever the model."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError, KttError
from ktt_core.taxonomy import Taxonomy

__all__ = ["DESCRIPTION_NAME", "Scorer", "Scores", "load_scorer", "read_json", "read_taxonomy"]

DESCRIPTION_NAME = "model.json"
HIERARCHY_NAME = "hierarchy.json"

_FORMAT_VERSION = 1


class Scores(NamedTuple):
    """What a model says of n texts.

    Attributes
    ----------
    log_proba : ndarray of float32, shape (n, leaves)
        Calibrated log-probabilities.
    features : ndarray of float32, shape (n, k)
        As in the reference set.
    """

    log_proba: NDArray[np.float32]
    features: NDArray[np.float32]


class Scorer(Protocol):
    """A model, read from a folder of artifacts."""

    taxonomy: Taxonomy

    def __call__(self, texts: Sequence[str]) -> Scores:
        """Answer texts."""


def load_scorer(folder: Path, gpu: bool = False) -> Scorer:
    """Read the model of a folder.

    Parameters
    ----------
    folder : Path
        With ``model.json``, which says of which kind it is.
    gpu : bool
        Run a graph on CUDA, if there is a device.

    Raises
    ------
    CheckpointError
        If files are missing, damaged or of an unknown kind.
    """
    description = read_json(folder / DESCRIPTION_NAME)
    if description.get("format_version") != _FORMAT_VERSION:
        raise CheckpointError(
            f"{folder / DESCRIPTION_NAME} is of version {description.get('format_version')!r:.20}, "
            f"and this bundle reads version {_FORMAT_VERSION}: export the model anew"
        )
    kind = description.get("kind")
    try:
        if kind == "onnx":
            from ktt_serving.onnx_scorer import OnnxScorer

            return OnnxScorer(folder, gpu)
        if kind == "tfidf":
            from ktt_serving.tfidf_scorer import TfidfScorer

            return TfidfScorer(folder)
    except CheckpointError:
        raise
    except (
        EOFError, KeyError, KttError, OSError, TypeError, ValueError, zipfile.BadZipFile
    ) as error:  # fmt: skip
        raise CheckpointError(f"the model in {folder} cannot be read: {error}") from error
    raise CheckpointError(
        f'{folder / DESCRIPTION_NAME} is of the kind {kind!r:.40}; there are "onnx" and "tfidf". '
        "A model of another kind needs a make_scorer of its own in its svc_lts.py"
    )


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file.

    Raises
    ------
    CheckpointError
        If it cannot be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(value, Mapping):
        raise CheckpointError(f"{path} holds no JSON object")
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
