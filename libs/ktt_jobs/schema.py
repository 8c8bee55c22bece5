"""The tables of a store of jobs, and how its SQLite file is opened."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    exc,
    inspect,
)

from ktt_core.errors import (
    DataError,
    FailedPreconditionError,
    KttError,
    ResourceExhaustedError,
    UnavailableError,
)
from ktt_core.locks import locked

__all__ = ["WRITING", "events", "jobs", "labels", "open_engine", "translated"]

#: Execution option of a connection that writes.
WRITING = "ktt_writing"

# "KTTJ": identifies our files.
_APPLICATION = 0x4B54544A
_VERSION = 1
# Seconds that writers wait for one another; each holds the file for milliseconds.
_BUSY_TIMEOUT = 30

_metadata = MetaData()

jobs = Table(
    "jobs",
    _metadata,
    # The order of creation, used by pages and the queue.
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("spec", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Column("state", String, nullable=False),
    # NULL if none was given: NULLs are never equal to one another.
    Column("request_id", String),
    # Of kind, spec and labels: equal for equal requests.
    Column("digest", String, nullable=False),
    # Whether a command runs it instead of the server.
    Column("embedded", Boolean, nullable=False),
    # Process id of its runner, for messages only: the lock in its folder is decisive.
    Column("runner", Integer),
    # Times are microseconds since 1970, UTC. No event is earlier than the one before.
    Column("create_time", BigInteger, nullable=False),
    Column("start_time", BigInteger),
    Column("end_time", BigInteger),
    Column("event_time", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False, default=0),
    # Attempts that ended because the server died.
    Column("losses", Integer, key="crash_count", nullable=False, default=0),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("last_event", Integer, nullable=False, default=0),
    Column("progress", Text),
    Column("eta", Float),
    Column("error", Text),
    Column("result", Text),
    Index("jobs_request", "kind", "request_id", unique=True),
    Index("jobs_state", "state", "number"),
    Index("jobs_kind", "kind", "number"),
    Index("jobs_kind_state", "kind", "state", "number"),
    Index("jobs_end", "end_time"),
    # Numbers are never reused, so that tokens of pages stay valid.
    sqlite_autoincrement=True,
)

labels = Table(
    "labels",
    _metadata,
    Column("name", String, primary_key=True),
    Column("value", String, primary_key=True),
    Column("job", ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    _metadata,
    Column("job", ForeignKey("jobs.number", ondelete="CASCADE"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("time", BigInteger, nullable=False),
    Column("state", String),
    Column("progress", Text),
    Column("eta", Float),
    sqlite_with_rowid=False,
)


def open_engine(path: Path) -> Engine:
    """Open the file of a store; create it and its folder if missing.

    Raises
    ------
    DataError
        If it is damaged, or another program's.
    FailedPreconditionError
        If a newer version of KTT wrote it.
    KttError
        If the system refuses.
    """
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            URL.create("sqlite", database=str(path)),
            connect_args={"timeout": _BUSY_TIMEOUT},
            pool_size=8,
            max_overflow=56,
            pool_timeout=_BUSY_TIMEOUT,
        )
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin)
        try:
            # Two processes that create the file at once would fail; one waits instead.
            with locked(path.parent / "open.lock", required=True):
                _prepare(engine, path)
        except BaseException:
            engine.dispose()
            raise
        return engine


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Convert errors of the database and the system to typed errors.

    Parameters
    ----------
    path : Path
        The store's file, for the message.
    """
    try:
        yield
    except KttError:
        raise
    except exc.DBAPIError as error:
        raise _translate(error.orig, path) from error
    except sqlite3.Error as error:
        # SQLAlchemy does not wrap errors of connecting.
        raise _translate(error, path) from error
    except exc.TimeoutError as error:
        raise UnavailableError(
            f"too many threads use the store of jobs {path} at once; try again"
        ) from error
    except OSError as error:
        raise UnavailableError(
            f"the store of jobs {path} cannot be used: {error.strerror or error}"
        ) from error


def _translate(error: BaseException | None, path: Path) -> KttError:
    # The lowest byte is the primary error code.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    said = str(error)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DataError(
            f"the store of jobs {path} is damaged ({said}); move it and the files whose "
            "names start with its name away, and a new one is created (it holds no checkpoints)"
        )
    if code == sqlite3.SQLITE_FULL:
        return ResourceExhaustedError(
            f"no room is left for the store of jobs {path}; free some on its disk"
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return UnavailableError(
            f"the store of jobs {path} was in use for {_BUSY_TIMEOUT} s; try again"
        )
    return UnavailableError(f"the store of jobs {path} cannot be used: {said}")


def _configure(connection: Any, record: Any) -> None:
    # Transactions are started by `_begin`, not by the driver.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("foreign_keys=ON", "synchronous=FULL", "journal_size_limit=16777216"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A writer locks at once: a transaction that has read cannot always be upgraded.
    writing = connection.get_execution_options().get(WRITING, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _prepare(engine: Engine, path: Path) -> None:
    with contextlib.closing(engine.raw_connection()) as raw:
        cursor = raw.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.close()
    with engine.connect().execution_options(**{WRITING: True}) as connection, connection.begin():
        application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if application == 0 and not inspect(connection).get_table_names():
            _metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA application_id={_APPLICATION}")
            connection.exec_driver_sql(f"PRAGMA user_version={_VERSION}")
        elif application != _APPLICATION:
            raise DataError(
                f"{path} is a database of another program; move it away, or name another workspace"
            )
        elif version != _VERSION:
            raise FailedPreconditionError(
                f"the store of jobs {path} is of version {version}, and this program knows version "
                f"{_VERSION}: use the version of KTT that wrote it, or another workspace"
            )
