"""Which checkpoint a request means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from exporter.fields import naming
from ktt_core.checkpoint_names import LABELS, CheckpointFile, find_checkpoint
from ktt_core.registry import get_entry, get_model

if TYPE_CHECKING:
    from ktt_core.model import Model

__all__ = ["locate"]


def locate(
    workspace: Path, dataset: str, model: str, label: str, time: str | None
) -> tuple[type[Model], CheckpointFile]:
    """Return a model's class and the checkpoint that is meant; the dataset itself is not needed.

    Raises
    ------
    InvalidArgumentError
        If an argument is not of its form; `field` says which.
    NotFoundError
        If there is no such model or checkpoint.
    """
    from ktt_core.workspace import Workspace

    places = Workspace(workspace)
    with naming("dataset"):
        places.dataset_folder(dataset)
    with naming("model"):
        folder = places.weights_folder(model, dataset)
        get_entry(model)
    with naming("time" if label in LABELS else "label"):
        file = find_checkpoint(folder, label, time)
    # Last: it may take seconds.
    return get_model(model), file
