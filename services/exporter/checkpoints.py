"""Resolution of a request's checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.checkpoints.paths import LABELS, CheckpointFile, find_checkpoint
from ktt_core.fields import at_field
from ktt_core.registry import get_entry, get_model

if TYPE_CHECKING:
    from ktt_core.model import Model

__all__ = ["locate"]


def locate(
    workspace: Path, dataset: str, model: str, label: str, time: str | None
) -> tuple[type[Model], CheckpointFile]:
    """Return a model's class and its requested checkpoint; the dataset itself is not needed.

    Raises
    ------
    InvalidArgumentError
        If an argument is invalid; `field` names it.
    NotFoundError
        If there is no such model or checkpoint.
    """
    from ktt_core.workspace import Workspace

    places = Workspace(workspace)
    with at_field("dataset"):
        places.dataset_folder(dataset)
    with at_field("model"):
        folder = places.weights_folder(model, dataset)
        get_entry(model)
    with at_field("run_time" if label in LABELS else "label"):
        file = find_checkpoint(folder, label, time)
    # Last: it may take seconds.
    return get_model(model), file
