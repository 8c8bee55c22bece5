"""The file of `ktt evaluate --errors`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktt_core.atomic import atomic_file
from ktt_core.errors import InvalidArgumentError, KttError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["check_errors_file", "write_errors"]

_BATCH_ROWS = 4_096

# Separator of a path's classes in a CSV file.
_SEPARATOR = " > "

# Spreadsheets interpret cells that start so, also in full-width form, as formulas, which may run
# programs. Texts are not trusted.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def check_errors_file(path: Path, source: Path | None) -> None:
    """Check that wrong answers can be written to a file, before the evaluation.

    Parameters
    ----------
    path : Path
    source : Path or None
        The file that is evaluated.

    Raises
    ------
    InvalidArgumentError
        If its suffix is unknown, or it cannot be written there.
    """
    if path.suffix.lower() not in _WRITERS:
        raise InvalidArgumentError(
            f"--errors writes {', '.join(_WRITERS)}: the name {path.name!r} ends in none of them"
        )
    if path.is_dir():
        raise InvalidArgumentError(f"--errors {path} is a folder; name a file in it")
    if not path.absolute().parent.is_dir():
        raise InvalidArgumentError(f"--errors: there is no folder {path.absolute().parent}")
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise InvalidArgumentError(f"--errors {path} would replace the file that is evaluated")


def write_errors(path: Path, parts: Sequence[Path]) -> int:
    """Write the wrong answers of several evaluations into one file, atomically.

    Parameters
    ----------
    path : Path
        Replaced if it exists.
    parts : sequence of Path
        Parquet files of evaluations.

    Returns
    -------
    int
        Number of wrong answers.

    Raises
    ------
    KttError
        If it cannot be written.
    """
    import pyarrow.parquet as pq

    files = [pq.ParquetFile(part) for part in parts]

    def batches() -> Iterator[pa.RecordBatch]:
        for file in files:
            yield from file.iter_batches(_BATCH_ROWS)

    try:
        with atomic_file(path) as temporary:
            _WRITERS[path.suffix.lower()](temporary, files[0].schema_arrow, batches())
    except OSError as error:
        raise KttError(f"{path} cannot be written: {error.strerror or error}") from error
    return sum(file.metadata.num_rows for file in files)


def _write_csv(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        # By default the writer does not quote a "\r", which also ends a row.
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(schema.names)
        for batch in batches:
            for row in batch.to_pylist():
                cells = [_cell(value) for value in row.values()]
                (quoting if any("\r" in cell for cell in cells) else writer).writerow(cells)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    text = _SEPARATOR.join(value) if isinstance(value, list) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _write_json_lines(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for batch in batches:
            for row in batch.to_pylist():
                row["probability"] = round(row["probability"], 6)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_parquet(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


_WRITERS: dict[str, Callable[[Path, pa.Schema, Iterator[pa.RecordBatch]], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".parquet": _write_parquet,
}
