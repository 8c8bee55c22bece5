"""A run's files, kept out of sight until the run has ended well.

Checkpoints are written while a run goes on. They are written into a hidden folder, so that nobody
takes the best state of a run that then fails, or is stopped, for the newest checkpoint. Only the
last state of a run that can be continued lies in the open from the beginning.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ktt_core.atomic import TEMPORARY_PREFIX, fsync_directory, hold_temporary
from ktt_core.checkpoints.run_ids import hold_run_time, reserve_run_time

__all__ = ["StagedRun", "stage_run"]


@dataclass(frozen=True)
class StagedRun:
    """One run and where it writes.

    Attributes
    ----------
    time : str
        The run's start, UTC; this process's alone.
    folder : Path
        Where its files go at the end.
    staging : Path
        Where it writes them.
    """

    time: str
    folder: Path
    staging: Path

    def publish(self) -> None:
        """Move the finished files into `folder`, all or none.

        Raises
        ------
        OSError
            If the system refuses.
        """
        # Backwards: a reference set before its checkpoint, and "best", which is looked for, last.
        names = sorted((path.name for path in self.staging.iterdir()), reverse=True)
        moved: list[Path] = []
        try:
            for name in names:
                if name.startswith(TEMPORARY_PREFIX):
                    continue  # begun and never finished
                moved.append(self.folder / name)
                (self.staging / name).rename(self.folder / name)
            fsync_directory(self.folder)
        except BaseException:
            for path in moved:
                path.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def stage_run(folder: Path, run_time: str | None = None) -> Iterator[StagedRun]:
    """Reserve a time for a run in `folder`, and give it a hidden folder to write into.

    What is not published by the end is removed, and so are the folders that were made and stay
    empty. If this process is killed outright, the next `ktt_core.atomic.sweep_leftovers` removes
    the hidden folder.

    Parameters
    ----------
    folder : Path
        ``weights/<model>/<dataset>``; made if missing.
    run_time : str, optional
        The start of an earlier run that is continued.

    Yields
    ------
    StagedRun

    Raises
    ------
    InvalidArgumentError
        If `run_time` is not the time of a run.
    ConflictError
        If that run goes on in another process.
    OSError
        If `folder` cannot be made or written to.
    """
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        held = hold_run_time(folder, run_time) if run_time else reserve_run_time(folder)
        with held as run_time, _hidden_folder(folder) as staging:
            yield StagedRun(run_time, folder, staging)
    finally:
        for made in missing:
            # Not empty after a run that ended well, or if another run has begun there.
            with contextlib.suppress(OSError):
                made.rmdir()


@contextlib.contextmanager
def _hidden_folder(folder: Path) -> Iterator[Path]:
    """Make a folder that sweeping leaves alone for as long as this process lives."""

    def make() -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{TEMPORARY_PREFIX}{os.getpid()}-", dir=folder))

    with hold_temporary(make) as hidden:
        try:
            yield hidden
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
