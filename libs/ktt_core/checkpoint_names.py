"""Names of checkpoint files: how a run gets its own time, and how its files are found again.

Every run has a start time, ``2026-01-31T12:34:56`` in UTC, that its files share::

    best_<time>.<ext>   last_<time>.<ext>   last_<time>_reference.parquet
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from ktt_core.errors import InvalidArgumentError, NotFoundError

__all__ = [
    "LABELS",
    "CheckpointFile",
    "checkpoint_path",
    "find_checkpoint",
    "list_checkpoint_files",
    "reference_path",
    "reserve_run_time",
]

LABELS = ("best", "last")

_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_CHECKPOINT = re.compile(rf"(best|last)_({_TIME})\.[A-Za-z0-9]+")
_RESERVATION = ".run-"
_MAX_LISTED = 20
# Only reservations older than this, in seconds, are looked at when sweeping: nobody asks for their
# second any more, so removing one cannot take a second from under a run that has just begun.
_SWEEP_AGE = 10.0


@dataclass(frozen=True)
class CheckpointFile:
    """One checkpoint in a folder.

    Attributes
    ----------
    label : str
        "best" or "last".
    time : str
        The start of its run, UTC.
    path : Path
    """

    label: str
    time: str
    path: Path


def checkpoint_path(folder: Path, label: str, run_time: str, suffix: str) -> Path:
    """Return where a run's checkpoint goes; `suffix` begins with a dot."""
    return folder / f"{_check_label(label)}_{_check_time(run_time)}{suffix}"


def reference_path(folder: Path, run_time: str) -> Path:
    """Return where a run's reference set goes."""
    return folder / f"last_{_check_time(run_time)}_reference.parquet"


def list_checkpoint_files(folder: Path) -> list[CheckpointFile]:
    """Return the checkpoints of a folder, the newest run first and "best" before "last"."""
    if not folder.is_dir():
        return []
    found = []
    for path in folder.iterdir():
        match = _CHECKPOINT.fullmatch(path.name)
        if match and path.is_file():
            found.append(CheckpointFile(match[1], match[2], path))
    found.sort(key=lambda file: (file.label, file.path.name))
    found.sort(key=lambda file: file.time, reverse=True)
    return found


def find_checkpoint(
    folder: Path, label: str = "best", run_time: str | None = None
) -> CheckpointFile:
    """Find a checkpoint, whatever its extension.

    Parameters
    ----------
    folder : Path
        ``weights/<model>/<dataset>``.
    label : str
        "best" or "last".
    run_time : str, optional
        The run's start; without it, the newest run that left a checkpoint of that label.

    Raises
    ------
    InvalidArgumentError
        If the label or the time is none.
    NotFoundError
        If there is no such checkpoint; the message lists those there are.
    """
    _check_label(label)
    if run_time is not None:
        _check_time(run_time)
    there = list_checkpoint_files(folder)
    for file in there:
        if file.label == label and run_time in (None, file.time):
            return file
    what = f"{label!r} checkpoint" + (f" of {run_time}" if run_time else "")
    if not there:
        raise NotFoundError(f"there is no {what} in {folder}: nothing was trained there yet")
    names = [f"{file.label} {file.time}" for file in there[:_MAX_LISTED]]
    more = f" and {len(there) - _MAX_LISTED} more" if len(there) > _MAX_LISTED else ""
    hint = ""
    if label == "last" and all(file.label == "best" for file in there):
        hint = " (this model keeps only its best state)"
    raise NotFoundError(
        f"there is no {what} in {folder}{hint}; there are: {', '.join(names)}{more}"
    )


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
    _sweep_reservations(folder)
    while True:
        # Each time: a run that failed may have removed the folder while it was empty.
        folder.mkdir(parents=True, exist_ok=True)
        moment = now()
        run_time = datetime.fromtimestamp(moment, timezone.utc).strftime(_TIME_FORMAT)
        reservation = folder / f"{_RESERVATION}{run_time}"
        if _reserve(reservation):
            if not any(run_time in path.name for path in folder.glob(f"*_{run_time}*")):
                break
            reservation.unlink(missing_ok=True)
        sleep(1.0 - moment % 1.0)
    try:
        yield run_time
    finally:
        reservation.unlink(missing_ok=True)


def _reserve(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except (FileExistsError, FileNotFoundError):
        return False  # taken, or the folder has just gone
    try:
        os.write(descriptor, str(os.getpid()).encode())
    finally:
        os.close(descriptor)
    return True


def _sweep_reservations(folder: Path) -> None:
    """Remove the reservations of processes that died."""
    for path in folder.glob(f"{_RESERVATION}*"):
        try:
            owner, age = path.read_text(), time.time() - path.stat().st_mtime
        except FileNotFoundError:
            continue  # its owner has just finished
        if age > _SWEEP_AGE and not (owner.isdigit() and _is_alive(int(owner))):
            path.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _check_label(label: str) -> str:
    if label not in LABELS:
        raise InvalidArgumentError(
            f"a checkpoint is {' or '.join(map(repr, LABELS))}, not {label!r}"
        )
    return label


def _check_time(run_time: str) -> str:
    try:
        parsed = datetime.strptime(run_time, _TIME_FORMAT)
    except (TypeError, ValueError):
        parsed = None
    if parsed is None or parsed.strftime(_TIME_FORMAT) != run_time:
        shown = run_time if len(str(run_time)) <= 40 else str(run_time)[:37] + "..."
        raise InvalidArgumentError(
            f"{shown!r} is not a run's time: write it like 2026-01-31T12:34:56 (UTC)"
        )
    return run_time
