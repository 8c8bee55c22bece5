"""Files that are made once and found again: one folder per dataset, bounded, shared by processes.

``<workspace>/cache/<kind>/<dataset>/<split>-<content>-<made of>.arrow``. Whoever needs a file that
is not there makes it, while others wait for it; a damaged one is made anew. Where no file can be
kept, what is made lasts as long as the process.
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

#: All caches of a workspace together; the longest unused are removed.
MAX_BYTES = 32 * 1024**3

_SUFFIX = ".arrow"
_LOCK_SUFFIX = ".lock"
_POLL_SECONDS = 0.1

_log = logging.getLogger(__name__)

TableT = TypeVar("TableT")


def cache_root(split_path: Path) -> Path | None:
    """Return ``<workspace>/cache`` for a split's path; None if it is of no workspace.

    A dataset in a workspace is in its folder ``datasets``.
    """
    datasets = split_path.absolute().parent.parent
    return datasets.parent / "cache" if datasets.name == "datasets" else None


class Cache:
    """The file of one split and kind, wherever it can be kept.

    Parameters
    ----------
    split_path : Path
        The split's Parquet file; says where the cache is.
    kind : str
        "tokens" or "features".
    content : str
        A digest of the split's rows.
    about : mapping
        What else the file is made of, a JSON value.
    max_bytes : int
        Bound of all caches of the workspace.
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
        #: Where the file is kept, or None.
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
        """Return the table: mapped from its file, which is made if need be.

        Parameters
        ----------
        of_columns, columns_of : callable
            From a file's columns to the table, and back.
        make : callable
            Makes the table; takes the folder for unfinished files, or None for memory.
        waiting : callable
            Called every moment in which another process makes the file; may raise.

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
            # The one who held the lock may have made it.
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
            # What was just made is of use even if its file is gone again by now.
            return made if found is None else found

    def _tell(self, error: OSError) -> None:
        _log.warning(
            "the input cannot be kept in %s for the next time: %s",
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
            _log.warning("%s is damaged and is made anew: %s", self.path, error)
            return None
        # Its time says when it was last used. Where that cannot be noted it goes a little earlier.
        with contextlib.suppress(OSError):
            os.utime(self.path)
        return table

    @contextlib.contextmanager
    def _alone(self, path: Path, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the right to make a file; the system takes it from a process that ends."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_suffix(_LOCK_SUFFIX)
        while True:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                while not _try_lock(descriptor):
                    waiting()
                    time.sleep(_POLL_SECONDS)
                if not is_same_file(lock, descriptor):
                    # The one before removed it.
                    continue
                try:
                    yield
                finally:
                    lock.unlink(missing_ok=True)
                return
            finally:
                os.close(descriptor)

    def _tidy(self) -> None:
        """Remove what is of rows or datasets that are gone, then the longest unused of too much."""
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
            # Another process may remove it at any moment.
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
        # A file system without locks: then two processes may make the same file, and one wins.
        return True
