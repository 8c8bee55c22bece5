"""File locks, which the system releases however their holder ends."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import uuid
from pathlib import Path

from ktt_core.errors import ConflictError, InvalidArgumentError, UnavailableError
from ktt_core.locks import try_lock

__all__ = ["Lock", "check_job_id", "is_job_id", "lock_job", "lock_server", "new_job_id"]

_log = logging.getLogger(__name__)
_JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def new_job_id() -> str:
    """Return a new, unique job id."""
    return str(uuid.uuid4())


def is_job_id(name: str) -> bool:
    """Return whether a name has the form of a job id, and so is safe as part of a path."""
    return isinstance(name, str) and _JOB_ID.fullmatch(name) is not None


def check_job_id(job_id: str) -> str:
    """Return the id if it has the right form.

    Raises
    ------
    InvalidArgumentError
        If it has not.
    """
    if not is_job_id(job_id):
        shown = repr(job_id) if len(repr(job_id)) <= 80 else repr(job_id)[:77] + "..."
        raise InvalidArgumentError(
            f"{shown} is not a job id: those look like 0b5e6f1c-2f7a-4d7e-9d55-6a1f0c3e8b42"
        )
    return job_id


class Lock:
    """A lock held by every process that has its descriptor.

    Attributes
    ----------
    descriptor : int
        Inherited by a worker, it keeps the lock held until both processes have closed it.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def release(self) -> None:
        """Release the lock. Idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def lock_job(folder: Path) -> Lock | None:
    """Lock a job's folder, which is created if missing; None if it is locked already.

    Raises
    ------
    UnavailableError
        If the system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _take(folder / "lock")
    except OSError as error:
        raise UnavailableError(f"{folder} cannot be used: {error.strerror or error}") from error


def lock_server(folder: Path) -> Lock:
    """Acquire the exclusive lock of a folder's server.

    Raises
    ------
    ConflictError
        If another server has it; the message names its process.
    UnavailableError
        If the system refuses.
    """
    path = folder / "server.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _take(path)
        if lock is not None:
            _sign(lock, path)
            return lock
    except OSError as error:
        raise UnavailableError(f"{path} cannot be used: {error.strerror or error}") from error
    holder = ""
    with contextlib.suppress(OSError):
        holder = path.read_text(errors="replace").strip()[:20]
    named = f" (process {holder})" if holder.isdecimal() else ""
    raise ConflictError(
        f"another server{named} already runs the jobs in {folder}; stop it, or name another "
        "workspace"
    )


def _sign(lock: Lock, path: Path) -> None:
    """Write the holder's process id into the lock's file, for error messages."""
    try:
        os.ftruncate(lock.descriptor, 0)
        os.pwrite(lock.descriptor, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        # Only informative: a full disk must not prevent a server from starting.
        _log.warning("the holder of %s could not be recorded: %s", path, error)


def _take(path: Path) -> Lock | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    try:
        taken = try_lock(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    if taken:
        return Lock(descriptor)
    os.close(descriptor)
    return None
