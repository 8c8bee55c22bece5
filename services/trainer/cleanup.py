"""Removal of the leftovers of killed runs."""

from __future__ import annotations

import contextlib

from ktt_core.checkpoints.run_ids import sweep_reservations
from ktt_core.workspace import Workspace

__all__ = ["clean_up"]


def clean_up(workspace: Workspace) -> None:
    """Remove hidden files of dead processes, and their folders.

    Files of living processes stay.

    Raises
    ------
    InvalidArgumentError
        If the workspace cannot be read.
    """
    workspace.sweep()
    weights = workspace.root / "weights"
    for folder in weights.glob("*/*"):
        sweep_reservations(folder)
        # Not empty if there is a checkpoint, or another run has started there.
        for made in (folder, folder.parent, weights):
            with contextlib.suppress(OSError):
                made.rmdir()
