"""Asynchronous writing of a run's checkpoints."""

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
    """Writes the last state to one file, in a thread, during training.

    Parameters
    ----------
    path : Path or None
        The file; None writes nothing.
    minutes : float
        Interval of checkpoints within an epoch.
    """

    def __init__(self, path: Path | None, minutes: float) -> None:
        self.path = path
        self._seconds = 60.0 * minutes
        self._since = time.monotonic()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        #: `path`, if a state of this run was or is being written.
        self.kept = path if path is not None and path.exists() else None

    @property
    def due(self) -> bool:
        """Whether a checkpoint within an epoch is due."""
        return self.path is not None and time.monotonic() - self._since >= self._seconds

    def keep(self, snapshot: Callable[[], Snapshot], wait: bool = False) -> None:
        """Write a state.

        Parameters
        ----------
        snapshot : callable
            Returns the checkpoint; its arrays must not change during training, unless `wait`.
        wait : bool
            Whether to wait until it is on disk. If not, it is skipped while the previous state is
            still being written, so that training does not wait for a slow disk.

        Raises
        ------
        OSError
            If it, or the previous one, could not be written.
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
        """Wait until pending writes are done.

        Raises
        ------
        OSError
            If a write failed.
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
        except BaseException as error:  # raised in the training thread
            self._error = error
