"""Import of a file of labelled texts as a dataset, all or nothing.

Two passes. The first reads the source chunk by chunk, stages usable texts on disk and keeps a few
bytes a row: the leaf, the split, a hash of the text. They give the taxonomy, the duplicates and the
leaves' sizes; the second pass writes each row to its split. Memory grows with the taxonomy and by
at most 32 bytes a row, and does not depend on the length of the texts.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ktt_core.atomic import atomic_directory, sweep_leftovers
from ktt_core.datasets.chunks import Wanted
from ktt_core.datasets.collecting import Collected, collect
from ktt_core.datasets.hierarchy import (
    FILE_NAME,
    SPLITS,
    Hierarchy,
    contents_fingerprint,
    write_hierarchy,
)
from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.report import ImportReport
from ktt_core.datasets.selection import Selection, select_rows
from ktt_core.datasets.sources import open_source
from ktt_core.datasets.staging import SplitWriter, StagedTexts
from ktt_core.errors import ConflictError, DataError, KttError
from ktt_core.names import check_name
from ktt_core.progress import Progress, ProgressCallback, ignore_progress

__all__ = ["import_dataset"]


class _State(NamedTuple):
    """Attributes of the source file that change when it is written to."""

    inode: int
    size: int
    modified: int


def import_dataset(
    source: Path,
    folder: Path,
    options: ImportOptions,
    progress: ProgressCallback = ignore_progress,
    *,
    replace: bool = False,
) -> ImportReport:
    """Import a file as the dataset `folder`.

    Parameters
    ----------
    source : Path
        A file with one of the suffixes `ktt_core.datasets.sources.SUFFIXES`.
    folder : Path
        The dataset's folder; its name is the dataset's name.
    options : ImportOptions
    progress : callable
        Called with phases "import" and "write".
    replace : bool
        Whether to replace an existing dataset. It stays intact until the new one is complete.

    Returns
    -------
    ImportReport

    Raises
    ------
    NotFoundError
        If there is no such file.
    ConflictError
        If `folder` exists and `replace` is false.
    InvalidArgumentError
        If the folder's name or the file's ending is not allowed.
    DataError
        If the file cannot be read, a row is bad and `options.on_error` is "stop", or too few rows
        are left to train on.
    KttError
        If the dataset cannot be written (disk full, no permission).
    """
    started = time.monotonic()
    source, folder = Path(source), Path(folder)
    check_name(folder.name, "dataset")
    if not replace and os.path.lexists(folder):
        raise _name_conflict(folder)
    opened = open_source(source, Wanted.of(options))
    state = _state(source)
    try:
        if folder.parent.is_dir():
            sweep_leftovers(folder.parent)
        with atomic_directory(folder, replace=replace) as temporary:
            staged = StagedTexts(temporary / "texts.arrow")
            collected = collect(opened, options, staged, source.name, progress)
            plan = select_rows(collected, options)
            writers = _write_splits(temporary, staged, plan, progress)
            fingerprint = _fingerprint(source)
            now = _state(source)
            if now != state:
                raise DataError(
                    f"{source} changed while it was read: import it again when it is complete"
                )
            report = _report(collected, plan, writers, time.monotonic() - started)
            write_hierarchy(
                temporary / FILE_NAME,
                Hierarchy(
                    taxonomy=plan.taxonomy,
                    fingerprint=contents_fingerprint(
                        fingerprint, options.to_json(), report.rows_written
                    ),
                    source_fingerprint=fingerprint,
                    source={"file": source.name, "bytes": now.size},
                    options=options.to_json(),
                    sizes=report.rows_written,
                    report=report.to_json(),
                    text={name: _text_statistics(writer) for name, writer in writers.items()},
                    created=datetime.now(UTC).isoformat(timespec="seconds"),
                    versions={
                        "python": platform.python_version(),
                        "pyarrow": pa.__version__,
                        "numpy": np.__version__,
                    },
                ),
            )
    except ConflictError as error:
        # Another import of this name finished first.
        raise _name_conflict(folder) from error
    except OSError as error:
        # pyarrow's own message describes its internal calls.
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise KttError(
            f"the dataset {folder} could not be written: {reason}. Nothing was kept; "
            "free space there or choose another workspace, and import again"
        ) from error
    return report


def _write_splits(
    folder: Path, staged: StagedTexts, plan: Selection, progress: ProgressCallback
) -> dict[str, SplitWriter]:
    writers = {
        name: SplitWriter(folder / f"{name}.parquet", plan.taxonomy.leaf_codes) for name in SPLITS
    }
    done = 0
    for texts in staged.read_back():
        splits = plan.splits[done : done + len(texts)]
        leaves = plan.leaves[done : done + len(texts)]
        for code, writer in enumerate(writers.values()):
            chosen = np.flatnonzero(splits == code)
            writer.append(texts.take(pa.array(chosen)), leaves[chosen])
        done += len(texts)
        progress(Progress("write", done, len(plan.splits), "rows"))
    for writer in writers.values():
        writer.close()
    return writers


def _report(
    collected: Collected, plan: Selection, writers: dict[str, SplitWriter], seconds: float
) -> ImportReport:
    taxonomy = plan.taxonomy
    shown = ~taxonomy.hidden
    offsets = taxonomy.level_offsets
    return ImportReport(
        rows_read=collected.rows_read,
        rows_written={name: writer.n_rows for name, writer in writers.items()},
        bad_rows=collected.bad.to_json(),
        duplicates=plan.duplicates,
        conflicting=plan.conflicting,
        rare_rows=plan.rare_rows,
        rare_leaves=plan.rare_leaves,
        classes_per_level=[
            int(shown[offsets[level] : offsets[level + 1]].sum()) for level in range(taxonomy.depth)
        ],
        leaves=taxonomy.n_leaves,
        rows_per_leaf={
            "min": int(plan.rows_per_leaf.min()),
            "median": float(np.median(plan.rows_per_leaf)),
            "max": int(plan.rows_per_leaf.max()),
        },
        warnings=plan.warnings,
        seconds=round(seconds, 3),
    )


def _text_statistics(writer: SplitWriter) -> dict[str, float]:
    return {
        "mean_characters": round(writer.characters / writer.n_rows, 1) if writer.n_rows else 0.0,
        "max_characters": writer.longest,
    }


def _fingerprint(source: Path) -> str:
    try:
        with source.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(source, error) from error


def _state(source: Path) -> _State:
    try:
        status = source.stat()
    except OSError as error:
        raise _unreadable(source, error) from error
    return _State(status.st_ino, status.st_size, status.st_mtime_ns)


def _name_conflict(folder: Path) -> ConflictError:
    return ConflictError(
        f"there is a dataset {folder.name!r} already: choose another name, "
        "or replace it with --replace"
    )


def _unreadable(source: Path, error: OSError) -> DataError:
    return DataError(f"{source} cannot be read: {error.strerror or error}")
