"""Sources of imports, and datasets: rows are read, or the error says where the damage is."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given

from fuzz.damage import (
    Change,
    Nested,
    changed,
    changes,
    edited,
    edits,
    fuzzed,
    json_bytes,
    survives,
)
from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import DataError, KttError

ROWS = [
    {"text": f'a "text", {n} 🎈', "path": ["A", "B" if n % 3 else "C"], "n": n} for n in range(40)
]


def delimited(separator: str) -> bytes:
    quoted = (str(row["text"]).replace('"', '""') for row in ROWS)
    lines = [f'"{text}"{separator}A > {n % 3}' for n, text in enumerate(quoted)]
    return "\n".join([f"text{separator}path", *lines, ""]).encode()


def columnar(suffix: str) -> bytes:
    table = pa.Table.from_pylist(ROWS)
    sink = pa.BufferOutputStream()
    if suffix == ".parquet":
        pq.write_table(table, sink)
    else:
        feather.write_feather(table, sink)
    return sink.getvalue().to_pybytes()


def content_of(suffix: str) -> bytes:
    whole = {
        ".csv": delimited(","),
        ".tsv": delimited("\t"),
        ".json": json.dumps(ROWS).encode(),
        ".jsonl": "\n".join(map(json.dumps, ROWS)).encode(),
    }
    if suffix.endswith(".gz"):
        return gzip.compress(content_of(suffix.removesuffix(".gz")), mtime=0)
    return whole[suffix] if suffix in whole else columnar(suffix)


def imported(folder: Path, suffix: str, content: bytes, **options: Any) -> None:
    source = folder / f"source{suffix}"
    source.write_bytes(content)
    separator = " > " if suffix[:4] in (".csv", ".tsv") else None
    target = folder / "datasets/toys"
    target.parent.mkdir()
    try:
        report = survives(
            lambda: import_dataset(
                source, target, ImportOptions("text", "path", separator, **options)
            ),
            KttError,
        )
        if report is None:
            assert list(target.parent.iterdir()) == []
        else:
            assert [path.name for path in target.parent.iterdir()] == ["toys"]
            read(target)
    finally:
        shutil.rmtree(target.parent)


def read(folder: Path) -> int:
    dataset = Dataset.open(folder)
    return sum(len(dataset.split(name).texts()) for name in ("train", "val", "test"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("sources")


SUFFIXES = (".csv", ".csv.gz", ".tsv", ".json", ".jsonl", ".jsonl.gz", ".parquet", ".feather")


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize("suffix", SUFFIXES)
@fuzzed(25)
@given(edits())
def test_the_bytes_of_a_source(folder, suffix, on_error, damage):
    imported(folder, suffix, edited(content_of(suffix), damage), on_error=on_error)


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@fuzzed(40)
@given(changes())
@example((Change("replace", 0, Nested(100_000)),))
@example((Change("replace", 1, Nested(930)),))
def test_the_values_of_a_source(folder, on_error, damage):
    imported(folder, ".json", json_bytes(changed(ROWS, damage)), on_error=on_error)


@pytest.fixture(scope="module")
def toys(folder) -> Path:
    source = folder / "whole.jsonl"
    source.write_bytes(content_of(".jsonl"))
    import_dataset(source, folder / "toys", ImportOptions("text", "path"))
    return folder / "toys"


@pytest.mark.parametrize("name", ["train.parquet", "hierarchy.json"])
@fuzzed(60)
@given(edits())
def test_the_bytes_of_a_dataset(toys, name, damage):
    path = toys / name
    whole = path.read_bytes()
    path.write_bytes(edited(whole, damage))
    try:
        survives(lambda: read(toys), DataError, folder=toys)
        survives(lambda: Dataset.open(toys).split("train").codes(), DataError, folder=toys)
    finally:
        path.write_bytes(whole)
