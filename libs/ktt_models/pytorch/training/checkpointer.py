"""Checkpoints of a run that goes on, written beside it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.checkpoints.format import write_arrays

__all__ = ["Checkpointer", "Snapshot"]

#: Metadata and arrays of a checkpoint.
Snapshot = tuple[Mapping[str, Any], Mapping[str, NDArray[np.generic]]]


class Checkpointer:
    """Writes the last state to one file, in a thread, while training goes on.

    Parameters
    ----------
    path : Path or None
        The file; None writes nothing.
    minutes : float
        How often a run wants to be kept within an epoch.
    """

    def __init__(self, path: Path | None, minutes: float) -> None:
        self.path = path
        self._seconds = 60.0 * minutes
        self._since = time.monotonic()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        #: `path`, if it holds a state of this run, or is about to.
        self.kept = path if path is not None and path.exists() else None

    @property
    def due(self) -> bool:
        """Whether it is time to write within an epoch."""
        return self.path is not None and time.monotonic() - self._since >= self._seconds

    def keep(self, snapshot: Callable[[], Snapshot], wait: bool = False) -> None:
        """Write a state.

        Parameters
        ----------
        snapshot : callable
            Returns what to write; its arrays must not change when training goes on, unless `wait`.
        wait : bool
            Whether it must be on the disk on return. If not, it is left out if the state before is
            still being written: steps that are faster than the disk do not wait for it.

        Raises
        ------
        OSError
            If it, or the one before, could not be written.
        """
        if self.path is None:
            return
        if not wait and self._thread is not None and self._thread.is_alive():
            return
        self.close()
        metadata, arrays = snapshot()
        if wait:
            write_arrays(self.path, metadata, arrays)
        else:
            self._thread = threading.Thread(
                target=self._write, args=(self.path, metadata, arrays), name="checkpoint"
            )
            self._thread.start()
        self.kept = self.path
        self._since = time.monotonic()

    def close(self) -> None:
        """Wait until what was begun is written.

        Raises
        ------
        OSError
            If it could not be.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write(self, path: Path, metadata: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        try:
            write_arrays(path, metadata, arrays)
        except BaseException as error:  # raised where training goes on
            self._error = error
