"""Loading of a scorer from a folder of artifacts."""

from __future__ import annotations

from pathlib import Path

from ktt_core.errors import CheckpointError, KttError
from ktt_serving.artifact_files import DESCRIPTION_NAME, read_json

# Services of other packages find these here for one more release.
from ktt_serving.artifact_files import read_taxonomy as read_taxonomy
from ktt_serving.scores import Scorer as Scorer
from ktt_serving.scores import Scores as Scores

__all__ = ["load_scorer"]

_FORMAT_VERSION = 1


def load_scorer(folder: Path, gpu: bool = False) -> Scorer:
    """Read the model of a folder.

    Parameters
    ----------
    folder : Path
        With ``model.json``, which describes its kind.
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
            f"and this bundle reads version {_FORMAT_VERSION}: export the model again"
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
        KeyError, KttError, OSError, OverflowError, RecursionError, TypeError, ValueError
    ) as error:  # fmt: skip
        raise CheckpointError(f"the model in {folder} cannot be read: {error}") from error
    raise CheckpointError(
        f'{folder / DESCRIPTION_NAME} is of the kind {kind!r:.40}; there are "onnx" and "tfidf". '
        "A model of another kind needs its own make_scorer in its svc_lts.py"
    )
