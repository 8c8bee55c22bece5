"""How a run gets a time of its own, and how another may continue it later.

A run marks its second with a file, ``.run-<time>``, and holds a lock on it for as long as it goes
on. The system lets go of the lock however the process ends, so a mark that nobody holds is litter.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from ktt_core.checkpoints.paths import TIME_FORMAT, check_run_time
from ktt_core.errors import ConflictError
from ktt_core.locks import is_same_file, try_lock

__all__ = ["hold_run_time", "holder_of", "reserve_run_time", "sweep_reservations"]

_RESERVATION = ".run-"
# Who looks whether a mark is held holds it for a moment. Seconds.
_LOOKS = 0.5


@contextlib.contextmanager
def reserve_run_time(
    folder: Path, now: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """Reserve the current second for a run in `folder`; a second that is taken waits for the next.

    Two processes never get the same second: the reservation is a file made exclusively *before*
    looking for the checkpoints of that second, and removed only after the run has written its own.

    Parameters
    ----------
    folder : Path
        ``weights/<model>/<dataset>``; made if missing.
    now, sleep : callable
        The clock, in seconds since 1970, and the wait, in seconds.

    Yields
    ------
    str
        The run's start time, UTC.
    """
    sweep_reservations(folder)
    while True:
        # Each time: a run that failed may have removed the folder while it was empty.
        folder.mkdir(parents=True, exist_ok=True)
        moment = now()
        run_time = datetime.fromtimestamp(moment, UTC).strftime(TIME_FORMAT)
        mark = _mark(folder, run_time)
        descriptor = _hold(mark, os.O_EXCL)
        if descriptor is not None:
            if not any(folder.glob(f"*_{run_time}*")):
                break
            _release(mark, descriptor)
        sleep(1.0 - moment % 1.0)
    try:
        yield run_time
    finally:
        _release(mark, descriptor)


@contextlib.contextmanager
def hold_run_time(folder: Path, run_time: str) -> Iterator[str]:
    """Take the second of a run that was begun before, to continue it.

    Parameters
    ----------
    folder : Path
        ``weights/<model>/<dataset>``.
    run_time : str

    Yields
    ------
    str
        `run_time`.

    Raises
    ------
    InvalidArgumentError
        If it is not the time of a run.
    ConflictError
        If the run goes on in another process.
    """
    mark = _mark(folder, check_run_time(run_time))
    deadline = time.monotonic() + _LOOKS
    while (descriptor := _hold(mark, 0)) is None:
        if time.monotonic() > deadline:
            owner = holder_of(folder, run_time)
            raise ConflictError(
                f"the run of {run_time} in {folder} goes on in another process"
                f"{f' ({owner})' if owner else ''}; wait for its end, or stop it"
            )
        time.sleep(0.02)
    try:
        yield run_time
    finally:
        _release(mark, descriptor)


def holder_of(folder: Path, run_time: str) -> str | None:
    """Return who is at a run: a process's number, or "" if that is not known; None if nobody."""
    mark = _mark(folder, run_time)
    try:
        descriptor = os.open(mark, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if _is_litter(mark, descriptor) else mark.read_text()
    except OSError:
        return None  # it has just ended
    finally:
        os.close(descriptor)


def sweep_reservations(folder: Path) -> None:
    """Remove the marks of processes that died; those of living ones stay."""
    for mark in folder.glob(f"{_RESERVATION}*"):
        try:
            descriptor = os.open(mark, os.O_RDONLY)
        except OSError:
            continue  # its owner has just finished
        try:
            if _is_litter(mark, descriptor):
                # Whoever makes or takes it at this moment notices that it is gone.
                mark.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


def _mark(folder: Path, run_time: str) -> Path:
    return folder / f"{_RESERVATION}{run_time}"


def _hold(mark: Path, flags: int) -> int | None:
    """Make or take a mark, lock it and write this process's number; None if another has it."""
    try:
        descriptor = os.open(mark, os.O_CREAT | os.O_RDWR | flags, 0o666)
    except (FileExistsError, FileNotFoundError):
        return None  # taken, or the folder has just gone
    try:
        if not _is_litter(mark, descriptor) or not is_same_file(mark, descriptor):
            os.close(descriptor)
            return None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _release(mark: Path, descriptor: int) -> None:
    mark.unlink(missing_ok=True)
    os.close(descriptor)


def _is_litter(mark: Path, descriptor: int) -> bool:
    """Say whether nobody holds a mark; this process does from then on, until it closes it."""
    try:
        return try_lock(descriptor)
    except OSError:
        # A file system without locks: the process's number has to do.
        return not _is_alive(mark)


def _is_alive(mark: Path) -> bool:
    try:
        owner = mark.read_text()
        os.kill(int(owner), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return True
