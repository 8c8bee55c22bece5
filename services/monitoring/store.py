"""Storage that survives the process: rows, labels and the report, in the state folder.

SQLite in WAL mode: a committed transaction survives the death of the process at any moment. Every
table is bounded.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .errors import StateError
from .layout import Layout

__all__ = ["Store"]

_LOG = logging.getLogger("monitoring.store")
_FORMAT = "1"
_NAME = "state.sqlite"
_ASIDE = "state.unreadable.sqlite"
_BUSY_SECONDS = 5
# Pages of the write-ahead log before a checkpoint, which keeps the log small.
_CHECKPOINT_PAGES = 1_000

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (seq INTEGER PRIMARY KEY, row BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS moved (seq INTEGER PRIMARY KEY AUTOINCREMENT, row BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pending (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, row BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS labelled (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, row BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS early (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, label REAL NOT NULL
);
"""


class Store:
    """The state folder.

    Parameters
    ----------
    folder : Path
        Created if missing. One process at a time may use it.
    layout : Layout
    fingerprint : str
        Fingerprint of the reference. Rows stored with another one are set aside.

    Raises
    ------
    StateError
        If the folder cannot be used, or another process uses it.
    """

    def __init__(self, folder: Path, layout: Layout, fingerprint: str) -> None:
        self.folder = folder
        self._layout = layout
        self._lock_file = _lock_folder(folder)
        try:
            self._connection = self._open(fingerprint)
        except (sqlite3.Error, OSError) as error:
            os.close(self._lock_file)
            raise StateError(f"the state in {folder} cannot be used: {error}") from error

    def close(self) -> None:
        """Close the files and release the folder for another process."""
        self._connection.close()
        os.close(self._lock_file)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Apply all writes of the block, or none.

        Raises
        ------
        StateError
            If they cannot be stored, for example because the disk is full.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                # SQLite may have ended the transaction at a failed write.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StateError(f"the state in {self.folder} cannot be written: {error}") from error

    # The window.

    def add_rows(self, records: NDArray, keep: int) -> None:
        """Add rows to the window; only the newest `keep` stay."""
        self._insert("INSERT INTO rows (row) VALUES (?)", records[-keep:])
        self._trim("rows", keep)

    def rows(self) -> NDArray:
        """Give the window's rows, oldest first."""
        return self._read("SELECT row FROM rows ORDER BY seq", self._layout.window_dtype)

    def add_moved(self, records: NDArray, keep: int) -> None:
        """Add rows that moved from the window to the reference."""
        self._insert("INSERT INTO moved (row) VALUES (?)", records[-keep:])
        self._trim("moved", keep)

    def moved(self) -> NDArray:
        """Give the rows that moved to the reference, oldest first."""
        return self._read("SELECT row FROM moved ORDER BY seq", self._layout.window_dtype)

    # Labels, and rows that wait for them.

    def known(self, row_id: str) -> NDArray | None:
        """Give the row of an id, labelled or waiting for its label; shape (1,)."""
        for table in ("pending", "labelled"):
            found = self._connection.execute(f"SELECT row FROM {table} WHERE id = ?", (row_id,))
            row = found.fetchone()
            if row is not None:
                return _array([row], self._layout.dtype)
        return None

    def add_pending(self, items: Sequence[tuple[str, bytes]], keep: int) -> None:
        """Add rows that wait for a label."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO pending (id, row) VALUES (?, ?)", items[-keep:] if keep else []
        )
        self._trim("pending", keep)

    def take_pending(self, row_id: str) -> NDArray | None:
        """Remove and return the row of an id that waits for its label; shape (1,)."""
        found = self._connection.execute(
            "DELETE FROM pending WHERE id = ? RETURNING row", (row_id,)
        ).fetchone()
        return None if found is None else _array([found], self._layout.dtype)

    def add_early(self, row_id: str, label: float, keep: int) -> None:
        """Keep a label whose row has not arrived."""
        self._connection.execute(
            "INSERT OR REPLACE INTO early (id, label) VALUES (?, ?)", (row_id, label)
        )
        self._trim("early", keep)

    def take_early(self, row_id: str) -> float | None:
        """Remove and return a label that arrived before its row."""
        found = self._connection.execute(
            "DELETE FROM early WHERE id = ? RETURNING label", (row_id,)
        ).fetchone()
        return None if found is None else float(found[0])

    def add_labelled(self, items: Sequence[tuple[str | None, bytes]], keep: int) -> None:
        """Add rows with a label; only the newest `keep` stay."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO labelled (id, row) VALUES (?, ?)", items[-keep:]
        )
        self._trim("labelled", keep)

    def correct(self, row_id: str, row: bytes) -> None:
        """Replace a labelled row."""
        self._connection.execute("UPDATE labelled SET row = ? WHERE id = ?", (row, row_id))

    def labelled(self) -> NDArray:
        """Give the labelled rows, oldest first."""
        return self._read("SELECT row FROM labelled ORDER BY seq", self._layout.dtype)

    def sizes(self) -> dict[str, int]:
        """Count the rows of each table."""
        return {
            table: self._connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
            for table in ("rows", "moved", "pending", "labelled", "early")
        }

    # Single values.

    def get(self, name: str) -> str | None:
        """Give a value by its name."""
        found = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,))
        row = found.fetchone()
        return None if row is None else row[0]

    def put(self, name: str, value: str) -> None:
        """Set a value by its name."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # Internals.

    def _open(self, fingerprint: str) -> sqlite3.Connection:
        path = self.folder / _NAME
        wanted = {"format": _FORMAT, "fingerprint": fingerprint}
        try:
            connection = _connect(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            _LOG.error(
                "the state is unreadable and was set aside; a new one was started: %s", error
            )
            _set_aside(path)
            connection = _connect(path)
        stored = dict(connection.execute("SELECT name, value FROM meta"))
        if stored and any(stored.get(name) != value for name, value in wanted.items()):
            _LOG.warning(
                "the state is of another reference or configuration and was set aside; a new "
                "one was started"
            )
            connection.close()
            _set_aside(path)
            connection = _connect(path)
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", wanted.items())
        return connection

    def _insert(self, statement: str, records: NDArray) -> None:
        self._connection.executemany(statement, ((record.tobytes(),) for record in records))

    def _trim(self, table: str, keep: int) -> None:
        """Delete all but the newest `keep` rows; `seq` may have gaps."""
        self._connection.execute(
            f"DELETE FROM {table} WHERE seq <= "
            f"(SELECT seq FROM {table} ORDER BY seq DESC LIMIT 1 OFFSET ?)",
            (keep,),
        )

    def _read(self, query: str, dtype: np.dtype) -> NDArray:
        return _array(self._connection.execute(query).fetchall(), dtype)


def _array(found: Sequence[tuple[bytes]], dtype: np.dtype) -> NDArray:
    # A bytearray, as an array over bytes is read-only.
    return np.frombuffer(bytearray(b"".join(row for (row,) in found)), dtype=dtype)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit survives the end of this process, though maybe not a power failure.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.executescript(_TABLES)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_aside(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.replace(path.with_name(_ASIDE))


def _lock_folder(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"the state folder {folder} cannot be used: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StateError(
            f"another monitor uses the state folder {folder}: give each its own (--state)"
        ) from error
    return descriptor
