"""How fast a large file is imported, in how much memory.

Writes a file of random texts under a random taxonomy, imports it in a process of its own on one
core, and compares with the floor: the same file read and written again as Parquet by pyarrow, with
nothing done in between. Also shows how ``hierarchy.json`` grows with the classes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import multiprocessing.connection
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# Nothing heavy is imported here: a child's peak memory must be its own.

SEPARATOR = " > "


def generate(path: Path, rows: int, leaves: int, words: int) -> None:
    """Write random texts of about `words` words, each with a path of three levels."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    generator = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    vocabulary = pa.array(
        ["".join(generator.choice(letters, length)) for length in generator.integers(2, 11, 30_000)]
    )
    middle, top = max(1, leaves // 10), max(1, leaves // 100)
    paths = [
        [f"Class {leaf % top}", f"Class {leaf % middle} of {leaf % top}", f"Leaf class {leaf}"]
        for leaf in range(leaves)
    ]
    as_csv = path.suffix == ".csv"
    labels = pa.array([SEPARATOR.join(p) for p in paths]) if as_csv else pa.array(paths)
    schema = pa.schema([("text", pa.string()), ("path", labels.type)])
    writer = (
        csv.CSVWriter(path, schema)
        if as_csv
        else pq.ParquetWriter(path, schema, compression="zstd")
    )
    with writer:
        for start in range(0, rows, 50_000):
            count = min(50_000, rows - start)
            lengths = generator.poisson(words - 1, count) + 1
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            # Zipf-like word frequencies, as in real text.
            ranks = (len(vocabulary) ** generator.random(int(offsets[-1]))).astype(np.int64) - 1
            texts = pc.binary_join(
                pa.ListArray.from_arrays(pa.array(offsets), vocabulary.take(pa.array(ranks))), " "
            )
            chosen = labels.take(pa.array(generator.integers(0, leaves, count)))
            writer.write_batch(pa.record_batch([texts, chosen], schema=schema))


def run_import(path: Path, folder: Path, dedupe: bool) -> dict[str, Any]:
    """Import the file."""
    from ktt_core.datasets.importer import import_dataset
    from ktt_core.datasets.options import ImportOptions

    separator = SEPARATOR if path.suffix == ".csv" else None
    report = import_dataset(
        path, folder, ImportOptions("text", "path", sep=separator, dedupe=dedupe)
    )
    return {"leaves": report.leaves, "rows_written": sum(report.rows_written.values())}


def run_floor(path: Path, folder: Path) -> dict[str, Any]:
    """Read the file and write it again, as pyarrow streams it."""
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    if path.suffix == ".csv":
        batches: Any = csv.open_csv(
            path, csv.ReadOptions(use_threads=False, block_size=4 * 1024**2)
        )
        schema = batches.schema
    else:
        file = pq.ParquetFile(path, pre_buffer=False)
        batches, schema = file.iter_batches(16_384, use_threads=False), file.schema_arrow
    with pq.ParquetWriter(folder, schema, compression="zstd", compression_level=1) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return {}


def _child(
    connection: multiprocessing.connection.Connection,
    work: Callable[..., dict[str, Any] | None],
    arguments: tuple[Any, ...],
) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import pyarrow as pa

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    started = time.perf_counter()
    result = work(*arguments) or {}
    result["seconds"] = time.perf_counter() - started
    result["peak_mb"] = _peak_memory()
    connection.send(result)


def _peak_memory() -> float:
    # Of this program alone; getrusage would count what the parent had before it started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def measure(work: Callable[..., dict[str, Any] | None], *arguments: Any) -> dict[str, Any]:
    """Run `work` in a new process on one core; return its result with "seconds" and "peak_mb"."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender, work, arguments))
    process.start()
    sender.close()
    try:
        result: dict[str, Any] = receiver.recv()
    except EOFError:
        raise SystemExit(f"{work.__name__} failed") from None
    finally:
        process.join()
    return result


def benchmark(
    rows: int, leaves: int, words: int, formats: Sequence[str], dedupe: bool, folder: Path
) -> dict[str, Any]:
    """Run everything; return figures as JSON values."""
    results = []
    for kind in formats:
        path = folder / f"source.{kind}"
        measure(generate, path, rows, leaves, words)
        floor = measure(run_floor, path, folder / "floor.parquet")
        result = measure(run_import, path, folder / f"imported-{kind}", dedupe)
        results.append(
            {
                "format": kind,
                "source_mb": round(path.stat().st_size / 1e6, 1),
                "rows": rows,
                "leaves": result["leaves"],
                "dedupe": dedupe,
                "seconds": round(result["seconds"], 2),
                "rows_per_second": round(rows / result["seconds"]),
                "peak_mb": round(result["peak_mb"], 1),
                "floor_seconds": round(floor["seconds"], 2),
                "floor_peak_mb": round(floor["peak_mb"], 1),
                "times_floor": round(result["seconds"] / floor["seconds"], 2),
            }
        )
        path.unlink()
    return {
        "imports": results,
        "hierarchies": [_hierarchy(n, folder) for n in (1_000, 10_000, 100_000)],
    }


def _hierarchy(leaves: int, folder: Path) -> dict[str, Any]:
    path, imported = folder / "few.parquet", folder / f"leaves-{leaves}"
    measure(generate, path, leaves * 5, leaves, 3)
    found = measure(run_import, path, imported, False)["leaves"]
    size = (imported / "hierarchy.json").stat().st_size
    return {"leaves": found, "bytes": size, "bytes_per_leaf": round(size / found, 1)}


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the file")
    parser.add_argument("--leaves", type=int, default=10_000, help="leaf classes")
    parser.add_argument("--words", type=int, default=12, help="mean words of a text")
    parser.add_argument(
        "--format", choices=["parquet", "csv", "both"], default="both", help="of the file"
    )
    parser.add_argument("--dedupe", action="store_true", help="also look for repeated texts")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    formats = ["parquet", "csv"] if options.format == "both" else [options.format]
    with tempfile.TemporaryDirectory() as folder:
        figures = benchmark(
            options.rows, options.leaves, options.words, formats, options.dedupe, Path(folder)
        )
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for row in figures["imports"]:
        print(
            f"{row['format']}, {row['rows']:,} rows ({row['source_mb']} MB), "
            f"{row['leaves']:,} leaves: {row['seconds']} s = {row['rows_per_second']:,} rows/s "
            f"on one core, peak {row['peak_mb']:.0f} MB; {row['times_floor']} times the floor "
            f"({row['floor_seconds']} s, {row['floor_peak_mb']:.0f} MB)"
        )
    for row in figures["hierarchies"]:
        print(
            f"hierarchy.json of {row['leaves']:,} leaves: {row['bytes'] / 1e6:.2f} MB, "
            f"{row['bytes_per_leaf']} bytes a leaf"
        )


if __name__ == "__main__":
    main()
