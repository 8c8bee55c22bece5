"""A cache of loaded models."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ktt_core.model import Model

__all__ = ["CachedModel", "ModelCache"]

# Identity of a file's content: device, inode, size, modification time in ns.
Stamp = tuple[int, int, int, int]


class CachedModel:
    """A model that is loaded, or being loaded."""

    def __init__(self, stamp: Stamp) -> None:
        self.stamp = stamp
        self._model: Model | None = None
        self._lock = threading.Lock()

    @contextmanager
    def use(self) -> Iterator[Model]:
        """Give exclusive use of the model: models need not be thread-safe."""
        with self._lock:
            assert self._model is not None, "only loaded models are handed out"
            yield self._model

    def load(self, load: Callable[[], Model]) -> None:
        """Load the model if it is not loaded; wait if another call is loading it."""
        with self._lock:
            if self._model is None:
                self._model = load()


class ModelCache:
    """Least-recently-used cache of models. Thread-safe.

    A file that was replaced on disk is loaded again. Concurrent requests for a model load it once.

    Parameters
    ----------
    limit : int
        Models to keep, at least 1. A removed one stays in memory while it is in use.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a cache keeps at least one model, not {limit}")
        self._limit = limit
        self._kept: OrderedDict[Path, CachedModel] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path, load: Callable[[Path], Model]) -> CachedModel:
        """Return the model of a file.

        Parameters
        ----------
        path : Path
        load : callable
            Reads the file. If it raises, so does this, and the next call tries again.

        Raises
        ------
        OSError
            If the file is gone.
        """
        status = os.stat(path)
        stamp = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
        with self._lock:
            cached = self._kept.get(path)
            if cached is None or cached.stamp != stamp:
                cached = self._kept[path] = CachedModel(stamp)
            self._kept.move_to_end(path)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
        try:
            cached.load(lambda: load(path))
        except BaseException:
            with self._lock:
                if self._kept.get(path) is cached:
                    del self._kept[path]
            raise
        return cached
