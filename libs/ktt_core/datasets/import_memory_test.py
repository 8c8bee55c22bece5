"""Small files that stand for much text: an import's memory stays bounded, whatever they hold."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest

from ktt_core.datasets import delimited
from ktt_core.datasets.chunks import Wanted
from ktt_core.datasets.sources import open_source
from ktt_core.errors import DataError

MIB = 1024**2

# Reads a file, or 30 chunks of it, and prints the rows read or the error, and the peak memory.
_READ = """
import itertools, pathlib, sys
from ktt_core.datasets.chunks import Wanted
from ktt_core.datasets.labels import LabelEncoder
from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.sources import open_source
from ktt_core.errors import DataError
path, name = pathlib.Path(sys.argv[1]), sys.argv[2]
options = ImportOptions("text", "path", sep=None if name == "lists" else " > ", on_error="skip")
encoder = LabelEncoder(options)
rows = 0
try:
    for chunk in itertools.islice(open_source(path, Wanted.of(options)).chunks, 30):
        encoder.encode(chunk.columns)
        rows += len(chunk.rows) + len(chunk.broken)
    print(rows, "rows")
except DataError as error:
    print(error)
# Of this program alone; getrusage counts what the parent had before it started this one.
status = pathlib.Path("/proc/self/status").read_text()
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


def _read(path: Path, labels: str = "text") -> str:
    """Read a file in a process of its own that may take 400 MB; return what it prints."""
    command = [sys.executable, "-c", _READ, str(path), labels]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    *lines, peak = done.stdout.splitlines()
    assert int(peak) * 1024 < 400e6, lines
    return "\n".join(lines)


def _repeated(size: int, rows: int) -> pa.Array:
    """Return the same long text for many rows."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array(["x " * (size // 2)]))


def _empty(count: int) -> pa.Array:
    buffers = [None, pa.py_buffer(bytes(4 * (count + 1))), pa.py_buffer(b"")]
    return pa.Array.from_buffers(pa.string(), count, buffers)


def _parquet(path: Path, text: pa.Array, labels: pa.Array, **options: object) -> Path:
    # As few and as large pages as there can be.
    pq.write_table(
        pa.table({"text": text, "path": labels}),
        path,
        compression="zstd",
        write_statistics=False,
        data_page_size=2**31 - 1,
        write_batch_size=2**30,
        max_rows_per_page=2**30,
        row_group_size=2**26,
        dictionary_pagesize_limit=100 * MIB,
        **options,
    )
    assert path.stat().st_size < 100_000
    return path


@pytest.mark.parametrize("keep_type", [True, False])
def test_parquet_with_one_long_text_for_all_rows(tmp_path: Path, keep_type: bool) -> None:
    text, labels = _repeated(16_000_000, 12_600), pa.array(["A"] * 12_600)
    path = _parquet(tmp_path / "a.parquet", text, labels, store_schema=keep_type)
    assert _read(path) == "30 rows"


def test_parquet_with_one_text_that_is_too_long(tmp_path: Path) -> None:
    text, labels = _repeated(17 * MIB, 12_600), pa.array(["A"] * 12_600)
    told = _read(_parquet(tmp_path / "a.parquet", text, labels))
    assert told.startswith("a row of rows 1 to 12,600 of a.parquet is longer than 16 MiB")
    assert "the file may have any size" in told


def test_parquet_with_a_page_that_expands(tmp_path: Path) -> None:
    labels = pa.nulls(50_000_000, pa.string())
    path = _parquet(tmp_path / "a.parquet", _empty(50_000_000), labels, use_dictionary=False)
    assert "pages that take 191 MiB of memory, more than 160" in _read(path)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_parquet_with_texts_that_repeat_their_predecessor(tmp_path: Path, version: str) -> None:
    text = pa.array(["x " * 7_000_000] * 40)
    path = _parquet(
        tmp_path / "a.parquet",
        text,
        pa.array(["A"] * 40),
        use_dictionary=False,
        column_encoding={"text": "DELTA_BYTE_ARRAY"},
        data_page_version=version,
    )
    assert _read(path) == "30 rows"


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_parquet_with_a_list_that_is_too_long(tmp_path: Path, version: str) -> None:
    lists = pa.ListArray.from_arrays(
        pa.array([0, 1, 20_000_001, 20_000_002], pa.int32()), _empty(20_000_002)
    )
    text = pa.array(["x"] * 3)
    path = _parquet(tmp_path / "a.parquet", text, lists, data_page_version=version)
    assert "is longer than 16 MiB" in _read(path, "lists")


def test_parquet_with_lists_of_one_long_class(tmp_path: Path) -> None:
    values = pa.DictionaryArray.from_arrays(np.zeros(32_000, np.int32), pa.array(["x" * 1_000_000]))
    lists = pa.ListArray.from_arrays(np.arange(0, 32_001, 2, dtype=np.int32), values)
    path = _parquet(tmp_path / "a.parquet", pa.array(["x"] * 16_000), lists, store_schema=False)
    assert "rows" in _read(path, "lists")


def test_arrow_with_a_batch_that_expands(tmp_path: Path) -> None:
    table = pa.table({"text": _empty(80_000_000), "path": pa.nulls(80_000_000)})
    feather.write_feather(table, str(tmp_path / "a.feather"), "zstd", chunksize=80_000_000)
    assert "record batches that take 305 MiB of memory" in _read(tmp_path / "a.feather")
    with ipc.new_stream(
        str(tmp_path / "a.arrow"), table.schema, options=ipc.IpcWriteOptions(compression="zstd")
    ) as writer:
        writer.write_table(table)
    assert "record batches that take 305 MiB of memory" in _read(tmp_path / "a.arrow")


def test_arrow_with_a_column_that_expands_and_is_not_read(tmp_path: Path) -> None:
    table = pa.table({"other": np.zeros(50_000_000), "text": _empty(50_000_000)})
    table = table.append_column("path", pa.nulls(50_000_000))
    feather.write_feather(table, str(tmp_path / "a.feather"), "zstd", chunksize=50_000_000)
    assert _read(tmp_path / "a.feather") == f"{30 * 16_384} rows"


@pytest.mark.parametrize("kind", ["dictionary", "view"])
def test_arrow_with_one_long_text_for_all_rows(tmp_path: Path, kind: str) -> None:
    text = _repeated(16_000_000, 12_600)
    if kind == "view":
        view = pa.array(text.dictionary, pa.string_view())
        views = pa.py_buffer(bytes(view.buffers()[1]) * 12_600)
        text = pa.Array.from_buffers(pa.string_view(), 12_600, [None, views, *view.buffers()[2:]])
    table = pa.table({"text": text, "path": ["A"] * 12_600})
    feather.write_feather(table, str(tmp_path / "a.feather"), "zstd")
    assert _read(tmp_path / "a.feather") == "30 rows"


def test_arrow_with_a_dictionary_that_expands(tmp_path: Path) -> None:
    text = pa.DictionaryArray.from_arrays(np.zeros(10, np.int32), _empty(20_000_000))
    table = pa.table({"text": text, "path": ["A"] * 10})
    feather.write_feather(table, str(tmp_path / "a.feather"), "zstd")
    assert "dictionaries that take 76 MiB of memory" in _read(tmp_path / "a.feather")


def test_arrow_with_a_list_of_nothing_that_is_too_long(tmp_path: Path) -> None:
    lists = pa.FixedSizeListArray.from_arrays(pa.nulls(2**31 - 1), 2**31 - 1)
    table = pa.table({"text": ["x"], "path": lists})
    feather.write_feather(table, str(tmp_path / "a.feather"), "uncompressed")
    assert "row 1 of a.feather is longer than 16 MiB" in _read(tmp_path / "a.feather", "lists")


def _gzipped(path: Path, first: bytes, repeated: bytes, count: int, last: bytes = b"") -> Path:
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(first)
        for _ in range(count):
            file.write(repeated)
        file.write(last)
    return path


@pytest.mark.parametrize(
    ("name", "first", "row"),
    [
        ("a.csv.gz", b"text,path\n", "a row after row 0"),
        ("a.csv.gz", b'text,path\nx,"', "a row after row 0"),
        ("a.jsonl.gz", b'{"text":"', "line 1"),
        ("a.json.gz", b'[{"text":"', "row 1"),
        ("a.json.gz", b"[", "row 1"),
    ],
)
def test_text_files_with_a_row_without_end(
    tmp_path: Path, name: str, first: bytes, row: str
) -> None:
    filler = b" " if first == b"[" else b"x"
    path = _gzipped(tmp_path / name, first, filler * MIB, 600)
    # Also, the process ends well: no thread reads on.
    assert _read(path).startswith(f"{row} of {name} is longer than 16 MiB")


def test_csv_with_rows_as_long_as_they_may_be(tmp_path: Path) -> None:
    row = b'"' + b"x\n" * (7 * MIB) + b'",A\n'
    path = _gzipped(tmp_path / "a.csv.gz", b"text,path\n", row, 30)
    assert _read(path) == "30 rows"


@pytest.mark.parametrize("element", [b"[]", b'{"a":{}}', b'"ab"'])
def test_json_with_a_row_of_many_values(tmp_path: Path, element: bytes) -> None:
    values = (element + b",") * (15 * MIB // (len(element) + 1))
    row = b'{"text":"x","path":[' + values + b"0]}"
    for name, line in (("a.jsonl.gz", row + b"\n"), ("a.json.gz", b"[" + row + b"]")):
        path = _gzipped(tmp_path / name, b"", line, 1)
        assert "1,000,000 values" in _read(path, "lists")


def test_json_with_many_rows_of_many_values(tmp_path: Path) -> None:
    row = b'{"text":"x","path":["A"],"other":[' + b"[]," * 300_000 + b"0]}\n"
    assert "rows" in _read(_gzipped(tmp_path / "a.jsonl.gz", b"", row, 60), "lists")


def test_csv_with_broken_rows_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "_MAX_BROKEN", 50_000)
    path = _gzipped(tmp_path / "a.csv.gz", b"text,path\n", b"x\n", 60_000)
    with pytest.raises(DataError, match="50,000 broken rows one after the other"):
        list(open_source(path, Wanted(("text", "path"))).chunks)


def test_csv_with_a_header_that_is_too_long(tmp_path: Path) -> None:
    path = _gzipped(tmp_path / "a.csv.gz", b"text,path", b"," * MIB, 12, b"\nx,A\n")
    assert "its header is longer than 64 KiB" in _read(path)
