"""A cache of files: one folder per dataset, limited in size, shared by processes.

``<workspace>/cache/<kind>/<dataset>/<split>-<content>-<made of>.arrow``. The first process that
needs a missing file creates it, while others wait; a damaged one is created again. If no file can
be stored, the table is kept by the process only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from ktt_core.atomic import atomic_file, sweep_leftovers
from ktt_core.locks import is_same_file, try_lock
from ktt_models.pytorch.input.tables import DamagedCacheError, read_table, write_table

__all__ = ["MAX_BYTES", "Cache", "cache_root"]

#: Limit of all caches of a workspace; the least recently used are removed.
MAX_BYTES = 32 * 1024**3

_SUFFIX = ".arrow"
_LOCK_SUFFIX = ".lock"
_POLL_SECONDS = 0.1

_log = logging.getLogger(__name__)

TableT = TypeVar("TableT")


def cache_root(split_path: Path) -> Path | None:
    """Return ``<workspace>/cache`` for a split's path; None if it is not in a workspace.

    A dataset in a workspace is in its folder ``datasets``.
    """
    datasets = split_path.absolute().parent.parent
    return datasets.parent / "cache" if datasets.name == "datasets" else None


class Cache:
    """The cached table of one split and kind.

    Parameters
    ----------
    split_path : Path
        The split's Parquet file, which determines the location of the cache.
    kind : str
        "tokens" or "features".
    content : str
        A digest of the split's rows.
    about : mapping
        Further inputs of the file, as a JSON value.
    max_bytes : int
        Limit of all caches of the workspace.
    """

    def __init__(
        self,
        split_path: Path,
        kind: str,
        content: str,
        about: Mapping[str, Any],
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.about = {"kind": kind, "content": content, **about}
        self.max_bytes = max_bytes
        self._root = cache_root(split_path)
        self._family = f"{split_path.stem}-"
        self._version = f"{self._family}{_short(content)}-"
        #: Location of the file, or None.
        self.path: Path | None = None
        if self._root is not None:
            folder = self._root / kind / split_path.absolute().parent.name
            made_of = _short(json.dumps(self.about, sort_keys=True))
            self.path = folder / f"{self._version}{made_of}{_SUFFIX}"

    def get(
        self,
        of_columns: Callable[[dict[str, pa.Array]], TableT],
        make: Callable[[Path | None], TableT],
        columns_of: Callable[[TableT], dict[str, pa.Array]],
        waiting: Callable[[], None],
    ) -> TableT:
        """Return the table, mapped from its file, which is created if missing.

        Parameters
        ----------
        of_columns, columns_of : callable
            Convert a file's columns to the table, and back.
        make : callable
            Creates the table; takes the folder for temporary files, or None for memory.
        waiting : callable
            Called repeatedly while another process creates the file; may raise.

        Raises
        ------
        ResourceExhaustedError
            If there is room neither on disk nor in memory.
        """
        if self.path is None:
            return make(None)
        found = self._read(of_columns)
        if found is not None:
            return found
        try:
            lock = contextlib.ExitStack()
            lock.enter_context(self._alone(self.path, waiting))
        except OSError as error:
            self._tell(error)
            return make(None)
        with lock:
            # The previous holder of the lock may have created it.
            found = self._read(of_columns)
            if found is not None:
                return found
            made = make(self.path.parent)
            try:
                with atomic_file(self.path) as temporary:
                    write_table(temporary, columns_of(made), self.about)
                self._tidy()
            except OSError as error:
                self._tell(error)
                return made
            found = self._read(of_columns)
            # The new table is usable even if its file has been removed already.
            return made if found is None else found

    def _tell(self, error: OSError) -> None:
        _log.warning(
            "the input cannot be stored in %s for the next run: %s",
            self.path and self.path.parent,
            error.strerror or error,
        )

    def _read(self, of_columns: Callable[[dict[str, pa.Array]], TableT]) -> TableT | None:
        assert self.path is not None
        try:
            table = of_columns(read_table(self.path, self.about))
        except FileNotFoundError:
            return None
        except DamagedCacheError as error:
            _log.warning("%s is damaged and is created again: %s", self.path, error)
            return None
        # Its time is that of the last use. If it cannot be set, the file is removed a little
        # earlier.
        with contextlib.suppress(OSError):
            os.utime(self.path)
        return table

    @contextlib.contextmanager
    def _alone(self, path: Path, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the lock for creating a file; the system releases it when the process ends."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(_LOCK_SUFFIX)
        while True:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                while not _try_lock(descriptor):
                    waiting()
                    time.sleep(_POLL_SECONDS)
                if not is_same_file(lock, descriptor):
                    # The previous holder removed it.
                    continue
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                return
            finally:
                os.close(descriptor)

    def _tidy(self) -> None:
        """Remove outdated files, then the least recently used ones above the limit."""
        assert self.path is not None and self._root is not None
        sweep_leftovers(self.path.parent)
        for file in self.path.parent.glob(f"{self._family}*{_SUFFIX}"):
            if not file.name.startswith(self._version):
                file.unlink(missing_ok=True)
        for folder in self._root.glob("*/*"):
            if folder.is_dir() and not (self._root.parent / "datasets" / folder.name).is_dir():
                shutil.rmtree(folder, ignore_errors=True)
        used: list[tuple[float, int, Path]] = []
        for file in self._root.glob(f"*/*/*{_SUFFIX}"):
            # Another process may remove it at any time.
            with contextlib.suppress(FileNotFoundError):
                state = file.stat()
                used.append((state.st_mtime, state.st_size, file))
        total = sum(size for _, size, _ in used)
        for _, size, file in sorted(used):
            if total <= self.max_bytes:
                break
            if file != self.path:
                file.unlink(missing_ok=True)
                total -= size


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _try_lock(descriptor: int) -> bool:
    try:
        return try_lock(descriptor)
    except OSError:
        # A file system without locks: two processes may create the same file, and one wins.
        return True
