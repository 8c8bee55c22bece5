"""Removing what runs left that were killed outright, and could not do it themselves."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ktt_core.workspace import Workspace

__all__ = ["clear_up"]


def clear_up(workspace: Workspace) -> None:
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
        for reservation in folder.glob(".run-*"):
            if _is_dead(reservation):
                reservation.unlink(missing_ok=True)
        # Not empty if there is a checkpoint, or another run has begun there.
        for made in (folder, folder.parent, weights):
            with contextlib.suppress(OSError):
                made.rmdir()


def _is_dead(reservation: Path) -> bool:
    """Say whether the process that a file names by its number is gone."""
    try:
        owner = reservation.read_text()
        if not owner.isdecimal():
            return False  # it is just being written
        os.kill(int(owner), 0)
        # A dead process that nobody has waited for yet still has its number.
        status = Path("/proc", owner, "stat").read_bytes()
        return status.rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
