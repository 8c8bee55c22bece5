"""Names of checkpoint files, and how they are found again.

Every run has a start time, ``2026-01-31T12:34:56`` in UTC, that its files share::

    best_<time>.<ext>   last_<time>.<ext>   last_<time>_reference.parquet   last_<time>_report.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ktt_core.errors import InvalidArgumentError, NotFoundError

__all__ = [
    "LABELS",
    "TIME_FORMAT",
    "CheckpointFile",
    "check_run_time",
    "checkpoint_path",
    "find_checkpoint",
    "list_checkpoint_files",
    "reference_path",
    "report_path",
]

LABELS = ("best", "last")

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_CHECKPOINT = re.compile(rf"(best|last)_({_TIME})\.[A-Za-z0-9]+")
_MAX_LISTED = 20


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
    return folder / f"{_check_label(label)}_{check_run_time(run_time)}{suffix}"


def reference_path(folder: Path, run_time: str) -> Path:
    """Return where a run's reference set goes."""
    return folder / f"last_{check_run_time(run_time)}_reference.parquet"


def report_path(folder: Path, run_time: str) -> Path:
    """Return where a run's report goes."""
    return folder / f"last_{check_run_time(run_time)}_report.html"


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
        check_run_time(run_time)
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


def _check_label(label: str) -> str:
    if label not in LABELS:
        raise InvalidArgumentError(
            f"a checkpoint is {' or '.join(map(repr, LABELS))}, not {label!r}"
        )
    return label


def check_run_time(run_time: str) -> str:
    """Return a run's time.

    Raises
    ------
    InvalidArgumentError
        If it is none.
    """
    try:
        parsed = datetime.strptime(run_time, TIME_FORMAT)
    except (TypeError, ValueError):
        parsed = None
    if parsed is None or parsed.strftime(TIME_FORMAT) != run_time:
        shown = run_time if len(str(run_time)) <= 40 else str(run_time)[:37] + "..."
        raise InvalidArgumentError(
            f"{shown!r} is not a run's time: write it like 2026-01-31T12:34:56 (UTC)"
        )
    return run_time
