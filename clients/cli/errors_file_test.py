"""Wrong answers in a file: whole, quoted, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.errors_file import check_errors_file, write_errors
from ktt_core.errors import InvalidArgumentError, KttError

TEXTS = ["plain", 'two "quotes", a comma', "line\nbreak", "=HYPERLINK(1)", "-5 %", "@x", "+1", "🥁"]


def part(path: Path, texts: list[str], model: str) -> Path:
    """Write what an evaluation lists."""
    rows: list[dict[str, Any]] = [
        {
            "row": number,
            "text": text,
            "true_path": ["Food", "Pasta"],
            "predicted_path": ["=Bikes"],
            "probability": 0.5,
            "known": "yes",
            "model": model,
        }
        for number, text in enumerate(texts, 1)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Return the lists of two models."""
    return [part(tmp_path / "0.parquet", TEXTS, "one"), part(tmp_path / "1.parquet", ["x"], "two")]


def test_csv_is_quoted_and_holds_no_formula(parts: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    assert write_errors(file, parts) == len(TEXTS) + 1
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    guarded = [f"'{text}" if text[0] in "=-@+" else text for text in TEXTS]
    assert [row["text"] for row in rows] == [*guarded, "x"]
    assert rows[0]["true_path"] == "Food > Pasta" and rows[0]["predicted_path"] == "'=Bikes"
    assert [row["model"] for row in rows] == ["one"] * len(TEXTS) + ["two"]
    assert rows[0]["probability"] == "0.500000"


@pytest.mark.parametrize(
    ("text", "cell"), [("a\r=1+1", "a\r=1+1"), ("\n=1", "'\n=1"), ("＝1", "'＝1"), ("＠a", "'＠a")]
)
def test_no_row_or_formula_begins_within_a_cell(text: str, cell: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    write_errors(file, [part(tmp_path / "0.parquet", [text], "one")])
    # A spreadsheet ends a row at any line end that is not quoted.
    with file.open(encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert row["text"] == cell.replace("\r", "\n")


def test_json_lines_and_parquet_hold_all_as_it_is(parts: list[Path], tmp_path: Path) -> None:
    write_errors(tmp_path / "wrong.jsonl", parts)
    write_errors(tmp_path / "wrong.parquet", parts)
    lines = (tmp_path / "wrong.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["text"] for row in rows] == [*TEXTS, "x"]
    assert rows[0]["predicted_path"] == ["=Bikes"]
    assert pq.read_table(tmp_path / "wrong.parquet").to_pylist() == rows


def test_a_list_without_rows_is_a_file_too(tmp_path: Path) -> None:
    empty = tmp_path / "0.parquet"
    pq.write_table(pa.table({"row": pa.array([], pa.int64())}), empty)
    for ending in ("csv", "jsonl", "parquet"):
        assert write_errors(tmp_path / f"wrong.{ending}", [empty]) == 0
    assert (tmp_path / "wrong.csv").read_text() == "row\n"


def test_a_place_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.touch()
    for path, message in (
        (tmp_path / "wrong.xlsx", "ends in none"),
        (tmp_path, "ends in none"),
        (tmp_path / "nowhere" / "wrong.csv", "no folder"),
        (source, "would replace the file that is evaluated"),
    ):
        with pytest.raises(InvalidArgumentError, match=message):
            check_errors_file(path, source)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InvalidArgumentError, match="is a folder"):
        check_errors_file(tmp_path / "folder.csv", None)
    check_errors_file(tmp_path / "wrong.CSV", source)


def test_what_was_there_stays_if_the_writing_fails(parts: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text("before")
    parts[1].write_bytes(b"PAR1 damaged")
    with pytest.raises((KttError, pa.ArrowInvalid)):
        write_errors(file, parts)
    assert file.read_text() == "before"
