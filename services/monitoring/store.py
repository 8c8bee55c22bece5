"""Storage that survives the process: rows, labels and the report, in the state folder.

SQLite in WAL mode: a committed transaction survives the death of the process at any moment. Every
table is bounded.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
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
# Rows in memory at once while the state is checked.
_ROWS_AT_ONCE = 1_000
# Pages of the write-ahead log before a checkpoint, which keeps the log small.
_CHECKPOINT_PAGES = 1_000

# One query for any number of ids.
_OF_IDS = "id IN (SELECT value FROM json_each(?))"

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


class _DamagedError(Exception):
    """The state holds what no monitor stored."""


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

    def known(self, ids: Sequence[str]) -> dict[str, NDArray]:
        """Give the rows of ids, labelled or waiting for their label; shape (1,) each."""
        return self._by_id("SELECT id, row FROM labelled", ids) | self._by_id(
            "SELECT id, row FROM pending", ids
        )

    def add_pending(self, items: Sequence[tuple[str, bytes]], keep: int) -> None:
        """Add rows that wait for a label."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO pending (id, row) VALUES (?, ?)", items[-keep:] if keep else []
        )
        self._trim("pending", keep)

    def take_pending(self, ids: Sequence[str]) -> dict[str, NDArray]:
        """Remove and return the rows of ids that wait for their label; shape (1,) each."""
        return self._by_id("DELETE FROM pending", ids, "RETURNING id, row")

    def add_early(self, items: Sequence[tuple[str, float]], keep: int) -> None:
        """Keep labels whose row has not arrived."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO early (id, label) VALUES (?, ?)", items[-keep:] if keep else []
        )
        self._trim("early", keep)

    def take_early(self, ids: Sequence[str]) -> dict[str, float]:
        """Remove and return labels that arrived before their rows."""
        return dict(
            self._connection.execute(
                f"DELETE FROM early WHERE {_OF_IDS} RETURNING id, label", (json.dumps(ids),)
            )
        )

    def add_labelled(self, items: Sequence[tuple[str | None, bytes]], keep: int) -> None:
        """Add rows with a label; only the newest `keep` stay."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO labelled (id, row) VALUES (?, ?)", items[-keep:]
        )
        self._trim("labelled", keep)

    def correct(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Replace labelled rows."""
        self._connection.executemany("UPDATE labelled SET row = ?2 WHERE id = ?1", items)

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
            stored = _values(connection)
            is_other = stored and any(stored.get(name) != value for name, value in wanted.items())
            if stored and not is_other:
                self._check(connection, stored.get("collected", "0"))
        except (sqlite3.Error, _DamagedError) as error:
            if not _is_damage(error):
                raise
            _LOG.error(
                "the state is damaged and was set aside as %s; a new one was started: %s",
                _ASIDE,
                error,
            )
            connection = _start_anew(path)
        else:
            if is_other:
                _LOG.warning(
                    "the state is of another reference or configuration and was set aside as %s; "
                    "a new one was started",
                    _ASIDE,
                )
                connection.close()
                connection = _start_anew(path)
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", wanted.items())
        return connection

    def _check(self, connection: sqlite3.Connection, collected: str) -> None:
        """Read all that is stored, as a computation on damaged rows fails as long as they stay.

        Raises
        ------
        _DamagedError
        """
        try:
            for (found,) in connection.execute("PRAGMA quick_check(1)"):
                if found != "ok":
                    raise _DamagedError(found)
            if not (collected.isascii() and collected.isdigit() and len(collected) < 20):
                raise _DamagedError(f"it counts {collected!r:.80} rows")
            for table, dtype in (
                ("rows", self._layout.window_dtype),
                ("moved", self._layout.window_dtype),
                ("pending", self._layout.dtype),
                ("labelled", self._layout.dtype),
            ):
                found = connection.execute(f"SELECT row FROM {table}")
                while rows := found.fetchmany(_ROWS_AT_ONCE):
                    if any(type(row) is not bytes or len(row) != dtype.itemsize for (row,) in rows):
                        raise _DamagedError(f"a row in {table} has another size")
                    if not self._layout.is_possible(_array(rows, dtype)):
                        raise _DamagedError(f"a row in {table} holds impossible numbers")
            for (label,) in connection.execute("SELECT label FROM early"):
                if type(label) is not float or not self._layout.is_label(label):
                    raise _DamagedError("a label is impossible")
        except BaseException:
            connection.close()
            raise

    def _by_id(self, statement: str, ids: Sequence[str], end: str = "") -> dict[str, NDArray]:
        found = self._connection.execute(f"{statement} WHERE {_OF_IDS} {end}", (json.dumps(ids),))
        return {row_id: _array([(row,)], self._layout.dtype) for row_id, row in found}

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


def _values(connection: sqlite3.Connection) -> dict[str, str]:
    return {str(name): str(value) for name, value in connection.execute("SELECT * FROM meta")}


def _is_damage(error: Exception) -> bool:
    """Whether an error is about what the file holds, not about the disk or another process."""
    if isinstance(error, _DamagedError):
        return True
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    # The lowest byte is the kind; tables that lack a column are a general error.
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _start_anew(path: Path) -> sqlite3.Connection:
    _set_aside(path)
    return _connect(path)


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
