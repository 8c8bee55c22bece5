"""Removing what runs left that were killed outright, and could not do it themselves."""

from __future__ import annotations

import contextlib

from ktt_core.checkpoints.run_ids import sweep_reservations
from ktt_core.workspace import Workspace

__all__ = ["clean_up"]


def clean_up(workspace: Workspace) -> None:
    """Remove hidden files of dead processes, and the folders that were made for them.

    What a living process is still writing stays.

    Raises
    ------
    InvalidArgumentError
        If the workspace cannot be read.
    """
    workspace.sweep()
    weights = workspace.root / "weights"
    for folder in weights.glob("*/*"):
        sweep_reservations(folder)
        # Not empty if there is a checkpoint, or another run has begun there.
        for made in (folder, folder.parent, weights):
            with contextlib.suppress(OSError):
                made.rmdir()
