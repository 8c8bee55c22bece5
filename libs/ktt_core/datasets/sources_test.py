from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.feather as feather
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ktt_core.datasets import chunks, columnar, delimited, records
from ktt_core.datasets.chunks import BROKEN_ROW, Wanted
from ktt_core.datasets.objects import NESTED, NOT_A_LIST, NOT_TEXT
from ktt_core.datasets.sources import open_source
from ktt_core.errors import DataError, InvalidArgumentError, NotFoundError

TEXTS = ["plain", 'a "quoted", one', "two\nlines", "日本語 🎈", " spaces ", "", None]
PATHS = [["A", "B > C"], ["A"], ["é", "x", "y"], [], None, ["A", None, "C"], ["A", ""]]
LISTS = Wanted(("text",), ("path",))
PLAIN = Wanted(("text", "label"))


def _read(path: Path, wanted: Wanted) -> tuple[list[dict[str, Any]], list[int], list[Any]]:
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    broken: list[Any] = []
    source = open_source(path, wanted)
    done = 0
    for chunk in source.chunks:
        for name, column in chunk.columns.items():
            column.validate(full=True)
            assert column.type == (chunks.LIST if name in wanted.lists else chunks.TEXT)
            assert len(column) == len(chunk.rows)
        rows += pa.RecordBatch.from_pydict(chunk.columns).to_pylist()
        numbers += chunk.rows.tolist()
        broken += chunk.broken
        assert done <= chunk.done <= source.total
        done = chunk.done
    return rows, numbers, broken


def _parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, row_group_size=3)


def _arrow_stream(table: pa.Table, path: Path) -> None:
    with ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


def _json(table: pa.Table, path: Path) -> None:
    path.write_text(json.dumps(table.to_pylist(), indent=2))


def _json_lines(table: pa.Table, path: Path) -> None:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in table.to_pylist()))


def _gzip(write: Callable[[pa.Table, Path], None]) -> Callable[[pa.Table, Path], None]:
    def written(table: pa.Table, path: Path) -> None:
        plain = path.with_suffix("")
        write(table, plain)
        path.write_bytes(gzip.compress(plain.read_bytes()))

    return written


def _csv(delimiter: str) -> Callable[[pa.Table, Path], None]:
    def write(table: pa.Table, path: Path) -> None:
        with path.open("wb") as file:
            csv.write_csv(table, file, csv.WriteOptions(delimiter=delimiter))

    return write


def _encoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    return None if value is None else value.encode()


LIST_FORMATS: dict[str, Callable[[pa.Table, Path], None]] = {
    "a.parquet": _parquet,
    "a.feather": lambda table, path: feather.write_feather(table, str(path), chunksize=3),
    "a.arrow": _arrow_stream,
    "a.json": _json,
    "lines.json": _json_lines,
    "a.JSONL": _json_lines,
    "a.ndjson": _json_lines,
    "a.jsonl.gz": _gzip(_json_lines),
    "a.json.gz": _gzip(_json),
}
TEXT_FORMATS = {
    **LIST_FORMATS,
    "a.csv": _csv(","),
    "semicolons.csv": _csv(";"),
    "a.csv.gz": _gzip(_csv(",")),
    "a.tsv": _csv("\t"),
}


@pytest.mark.parametrize("name", LIST_FORMATS)
def test_every_format_yields_the_same_texts_and_lists(tmp_path: Path, name: str) -> None:
    table = pa.table({"other": list(range(7)), "path": PATHS, "text": TEXTS})
    LIST_FORMATS[name](table, tmp_path / name)
    rows, numbers, broken = _read(tmp_path / name, LISTS)
    assert rows == [
        {"text": _encoded(text), "path": _encoded(path)}
        for text, path in zip(TEXTS, PATHS, strict=True)
    ]
    assert numbers == list(range(1, 8))
    assert broken == []


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_every_format_yields_the_same_text_columns(tmp_path: Path, name: str) -> None:
    labels = ["A > B", "A", "", "é", "x", "y", "z"]
    table = pa.table({"label": labels, "other": [0.5] * 7, "text": TEXTS})
    TEXT_FORMATS[name](table, tmp_path / name)
    rows, numbers, broken = _read(tmp_path / name, PLAIN)
    # Text tables have no nulls: a missing cell is empty.
    assert [row["text"] or b"" for row in rows] == [(text or "").encode() for text in TEXTS]
    assert [row["label"] for row in rows] == [label.encode() for label in labels]
    assert numbers == list(range(1, 8))
    assert broken == []


@pytest.mark.parametrize("name", LIST_FORMATS)
def test_chunks_are_bounded_and_numbered_consecutively(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columnar, "CHUNK_ROWS", 16)
    monkeypatch.setattr(records, "_CHUNK_ROWS", 16)
    monkeypatch.setattr(records, "_READ", 100)
    table = pa.table(
        {"text": [f"text {i}" for i in range(100)], "path": [["A", str(i)] for i in range(100)]}
    )
    LIST_FORMATS[name](table, tmp_path / name)
    lengths = [len(chunk.rows) for chunk in open_source(tmp_path / name, LISTS).chunks]
    assert max(lengths) <= 16
    rows, numbers, _ = _read(tmp_path / name, LISTS)
    assert numbers == list(range(1, 101))
    assert [row["text"] for row in rows] == [f"text {i}".encode() for i in range(100)]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", None, "b"], pa.large_string()),
        pa.array(["a", None, "b"], pa.string_view()),
        pa.array(["a", None, "b"]).dictionary_encode(),
        pa.array([b"a", None, b"b"], pa.binary()),
    ],
    ids=lambda column: str(column.type)[:12],
)
def test_text_of_any_arrow_type_is_read(tmp_path: Path, column: pa.Array) -> None:
    feather.write_feather(pa.table({"text": column, "label": column}), str(tmp_path / "a.feather"))
    rows, _, _ = _read(tmp_path / "a.feather", PLAIN)
    assert [row["text"] for row in rows] == [b"a", None, b"b"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([["1", "2"], None], pa.large_list(pa.large_string())),
        pa.array([["1", "2"], None], pa.list_(pa.string(), 2)),
        pa.array([[1, 2], None], pa.list_(pa.int64())),
        pa.array([["1", "2"], None], pa.list_(pa.dictionary(pa.int8(), pa.string()))),
    ],
    ids=lambda column: str(column.type)[:16],
)
def test_lists_of_any_arrow_type_are_read(tmp_path: Path, column: pa.Array) -> None:
    feather.write_feather(
        pa.table({"text": ["x", "y"], "path": column}), str(tmp_path / "a.feather")
    )
    rows, _, _ = _read(tmp_path / "a.feather", LISTS)
    assert [row["path"] for row in rows] == [[b"1", b"2"], None]


def test_whole_numbers_can_be_classes(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["x", "y"], "label": [11, None]}), tmp_path / "a.parquet")
    assert [row["label"] for row in _read(tmp_path / "a.parquet", PLAIN)[0]] == [b"11", None]
    (tmp_path / "a.jsonl").write_text('{"text": "x", "label": 11}\n{"text": "y", "label": null}')
    assert [row["label"] for row in _read(tmp_path / "a.jsonl", PLAIN)[0]] == [b"11", None]


# -- files that cannot be read --------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_a_missing_column_is_reported_with_the_existing_ones(tmp_path: Path, name: str) -> None:
    TEXT_FORMATS[name](pa.table({"title": ["a"], "label": ["b"]}), tmp_path / name)
    with pytest.raises(DataError, match=r"has no column 'text'; it has: 'title', 'label'"):
        _read(tmp_path / name, PLAIN)


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    if name in ("a.JSONL", "a.ndjson", "a.jsonl.gz"):
        assert _read(tmp_path / name, PLAIN) == ([], [], [])
    else:
        with pytest.raises(DataError, match=name):
            _read(tmp_path / name, PLAIN)


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_random_bytes_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(10_000))
    with pytest.raises(DataError, match=name):
        _read(tmp_path / name, PLAIN)


@pytest.mark.parametrize(
    "name", ["a.parquet", "a.feather", "a.arrow", "a.json", "a.jsonl.gz", "a.csv.gz"]
)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_a_truncated_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    random = np.random.default_rng(0).integers(0, 10**9, 3_000)
    table = pa.table({"text": [f"text {i}" for i in random], "label": [f"{i % 7}" for i in random]})
    TEXT_FORMATS[name](table, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError, match=name):
        _read(path, PLAIN)


def test_a_damaged_page_of_parquet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"text {i}" for i in np.random.default_rng(0).integers(0, 10**9, 20_000)]
    pq.write_table(pa.table({"text": texts, "label": texts}), path, compression="zstd")
    data = bytearray(path.read_bytes())
    data[5_000:6_000] = bytes(1_000)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.parquet cannot be read as Parquet"):
        _read(path, PLAIN)


@pytest.mark.parametrize(
    ("name", "error", "problem"),
    [
        ("missing.csv", NotFoundError, "there is no file"),
        ("folder.csv", DataError, "is a folder"),
        ("folder.csv/a.csv", NotFoundError, "there is no file"),
        ("notes.txt/a.csv", NotFoundError, "there is no file"),
        ("/dev/null", DataError, "not a regular file"),
        ("x" * 300 + ".csv", DataError, "cannot be read"),
        ("a\x00.csv", DataError, "cannot be read"),
        ("notes.txt", InvalidArgumentError, r"must end in one of: \.csv"),
        ("noending", InvalidArgumentError, "must end in one of"),
        ("a.parquet.gz", InvalidArgumentError, "must end in one of"),
    ],
)
def test_paths_other_than_of_readable_files_are_refused(
    tmp_path: Path, name: str, error: type[Exception], problem: str
) -> None:
    (tmp_path / "folder.csv").mkdir()
    for file in ("notes.txt", "noending", "a.parquet.gz"):
        (tmp_path / file).write_text("text,label\na,b\n")
    with pytest.raises(error, match=problem):
        open_source(tmp_path / name, PLAIN)


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_lists_where_text_is_expected_are_refused(tmp_path: Path, name: str) -> None:
    if name not in LIST_FORMATS:
        return
    LIST_FORMATS[name](pa.table({"text": ["x"], "label": [["A", "B"]]}), tmp_path / name)
    with pytest.raises(DataError, match="leave --sep out"):
        _read(tmp_path / name, PLAIN)


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_text_where_lists_are_expected_is_refused(tmp_path: Path, name: str) -> None:
    TEXT_FORMATS[name](pa.table({"text": ["x"], "path": ["A > B"]}), tmp_path / name)
    with pytest.raises(DataError, match=r"--sep ' > '.*--level-columns path"):
        _read(tmp_path / name, LISTS)


@pytest.mark.parametrize(
    "column", [pa.array([0.5, float("nan")]), pa.array([{"a": 1}, None]), pa.array([True, False])]
)
def test_columns_of_other_types_are_refused(tmp_path: Path, column: pa.Array) -> None:
    pq.write_table(pa.table({"text": column, "label": ["a", "b"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"column 'text' of a\.parquet holds .*, not text"):
        _read(tmp_path / "a.parquet", PLAIN)


# -- CSV ------------------------------------------------------------------------------------------


def _csv_file(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_broken_rows_are_numbered_as_data_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rows 1, 30, 31 and 100 have a wrong number of fields and are in different small blocks.
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 200)
    monkeypatch.setattr(delimited, "CHUNK_ROWS", 7)
    bad = {1: "x", 30: "a,b,c", 31: "x", 100: "a,b,c,d"}
    lines = [bad.get(row, f'"row\n{row}",L') for row in range(1, 101)]
    rows, numbers, broken = _read(_csv_file(tmp_path, "text,label\n" + "\n".join(lines)), PLAIN)
    assert broken == [
        (1, f"{BROKEN_ROW}: 1 value for 2 columns"),
        (30, f"{BROKEN_ROW}: 3 values for 2 columns"),
        (31, f"{BROKEN_ROW}: 1 value for 2 columns"),
        (100, f"{BROKEN_ROW}: more than 3 values for 2 columns"),
    ]
    assert numbers == [row for row in range(1, 101) if row not in bad]
    assert [row["text"] for row in rows] == [f"row\n{n}".encode() for n in numbers]


@pytest.mark.parametrize(
    ("stray", "rest"),
    [
        # No closing quote.
        ('"x,A', ""),
        ('x,"A', ""),
        ('"""x,A', "\n\n"),
        # The next quote closes it in the middle of a value.
        ('"x,A', 'y,"B"\n'),
        ('x,"A', '"y",B\n'),
        ('x,"A', 'say "y",B\n'),
    ],
)
def test_a_quote_that_is_not_closed_stops_the_import(tmp_path: Path, stray: str, rest: str) -> None:
    good = [f"text {i},A" for i in range(50)]
    path = _csv_file(tmp_path, "\n".join(["text,label", *good[:3], stray, *good, rest]))
    with pytest.raises(DataError, match=r"line 5 of a\.csv .* a quote opens there .* 5\d lines"):
        list(open_source(path, PLAIN).chunks)


def test_a_quoted_text_of_many_lines_is_accepted(tmp_path: Path) -> None:
    text = "\n".join(f'line {i}, ""quoted""' for i in range(30))
    lines = ["text,label", f'"{text}",A', f'"{text}",A,more', f'B,"{text}"', f'"{text}"']
    rows, numbers, broken = _read(_csv_file(tmp_path, "\n".join(lines)), PLAIN)
    assert numbers == [1, 3]
    assert rows[0]["text"] == rows[1]["label"] == text.replace('""', '"').encode()
    assert [row for row, _ in broken] == [2, 4]


def test_a_file_with_only_broken_rows(tmp_path: Path) -> None:
    rows, _, broken = _read(_csv_file(tmp_path, "text,label\n" + "x\n" * 5), PLAIN)
    assert rows == []
    assert [row for row, _ in broken] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("content", ["text,label\n", "\ufefftext,label\n\n\n"])
def test_a_file_with_only_a_header_has_no_rows(tmp_path: Path, content: str) -> None:
    assert _read(_csv_file(tmp_path, content), PLAIN) == ([], [], [])


def test_byte_order_mark_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    path = _csv_file(tmp_path, "\ufefftext,label\r\nx,A\r\ny,B\r\n")
    rows, _, _ = _read(path, PLAIN)
    assert rows == [{"text": b"x", "label": b"A"}, {"text": b"y", "label": b"B"}]


def test_invalid_utf8_is_passed_on_to_the_import(tmp_path: Path) -> None:
    rows, _, _ = _read(_csv_file(tmp_path, b"text,label\nx\xff,A\ny,B\n"), PLAIN)
    assert rows[0]["text"] == b"x\xff"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("text,label\nx,A\n".encode("utf-16"), "UTF-16"),
        (b"text,label\x00\nx,A\n", "not a text file"),
        (b"t\xffxt,label\nx,A\n", "header is not UTF-8"),
        ("", "must name the columns"),
        ("text,label", "must name the columns"),
        ("text,text,label\nx,y,A\n", "two columns 'text'"),
        ('text,label\nx,A\n"never closed,B\n' + "y,C\n" * 1_000, "never closed"),
    ],
)
def test_unusable_csv_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes, problem: str
) -> None:
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 1_000)
    with pytest.raises(DataError, match=problem):
        _read(_csv_file(tmp_path, content), PLAIN)


# -- JSON -----------------------------------------------------------------------------------------


def _lines_file(tmp_path: Path, *lines: str | bytes) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(x.encode() if isinstance(x, str) else x for x in lines))
    return path


def test_lines_other_than_objects_are_broken_rows(tmp_path: Path) -> None:
    path = _lines_file(
        tmp_path,
        '{"text": "x", "label": "A"}',
        '{"text": "y", "label": ',
        "",
        "[1, 2]",
        "null",
        "[" * 100_000,
        '{"text": 1' + "0" * 5_000 + "}",
        '{"text": "z", "label": "B"}',
    )
    rows, numbers, broken = _read(path, PLAIN)
    assert [row["text"] for row in rows] == [b"x", b"z"]
    assert numbers == [1, 7]
    assert broken == [(row, BROKEN_ROW) for row in (2, 3, 4, 5, 6)]


def test_cells_of_other_types_are_not_text(tmp_path: Path) -> None:
    cells = ['"x"', "0.5", "true", '{"a": 1}', "NaN", "null", "7"]
    path = _lines_file(tmp_path, *(f'{{"text": {cell}, "label": "A"}}' for cell in cells))
    rows, _, broken = _read(path, PLAIN)
    assert [row["text"] for row in rows] == [b"x", None, None, b"7"]
    assert broken == [
        (2, f"{NOT_TEXT}: 'text' holds a number with a fraction"),
        (3, f"{NOT_TEXT}: 'text' holds true or false"),
        (4, f"{NOT_TEXT}: 'text' holds an object"),
    ]


def test_nested_lists_are_reported_as_such(tmp_path: Path) -> None:
    cells = ['["A", "B"]', '[["A", "B"]]', '["A", {"b": 1}]', '"A > B"', "7"]
    path = _lines_file(tmp_path, *(f'{{"text": "x", "path": {cell}}}' for cell in cells))
    _, numbers, broken = _read(path, LISTS)
    assert numbers == [1]
    assert [row for row, _ in broken] == [2, 3, 4, 5]
    reasons = [reason for _, reason in broken]
    assert reasons[0].startswith(NESTED) and '["A", "B"]' in reasons[0]
    assert reasons[1] == f"{NOT_TEXT}: 'path' holds an object"
    assert all(reason.startswith(NOT_A_LIST) for reason in reasons[2:])


def test_nested_lists_of_a_table_are_reported_as_such(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["x"], "path": [[["A", "B"]]]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="'path' of a.parquet holds lists within lists"):
        _read(tmp_path / "a.parquet", LISTS)


# -- lines ----------------------------------------------------------------------------------------

_value = st.text(st.sampled_from('a ,"\n;é'), max_size=8)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.one_of(_value, st.just("BLANK"), st.just("BAD")), min_size=1, max_size=20))
def test_rows_of_a_csv_file_are_found_at_their_lines(tmp_path: Path, values: list[str]) -> None:
    lines = ["text,label"]
    at, begins = 2, []
    for value in values:
        if value == "BLANK":
            lines.append("")
        elif value == "BAD":
            lines.append("x")
            begins.append(at)
        else:
            quoted = value.replace('"', '""')
            lines.append(f'"{quoted}",L')
            begins.append(at)
        at += 1 + value.count("\n")
    path = _csv_file(tmp_path, "\n".join(lines) + "\n")
    source = open_source(path, PLAIN)
    numbers = [
        row
        for chunk in source.chunks
        for row in [*chunk.rows.tolist(), *(row for row, _ in chunk.broken)]
    ]
    assert sorted(numbers) == list(range(1, len(begins) + 1))
    assert source.locate is not None
    assert source.locate(numbers) == dict(enumerate(begins, start=1))


def test_blank_lines_count_as_lines_but_not_as_rows(tmp_path: Path) -> None:
    path = _lines_file(tmp_path, "", '{"text": "x", "label": "A"}', " ", "null", "", "1")
    source = open_source(path, PLAIN)
    list(source.chunks)
    assert source.locate is not None
    assert source.locate([1, 2, 3]) == {1: 2, 2: 4, 3: 6}


def test_columnar_sources_have_no_lines(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["x"], "label": ["A"]}), tmp_path / "a.parquet")
    assert open_source(tmp_path / "a.parquet", PLAIN).locate is None


def test_lone_surrogates_and_invalid_bytes_remain_invalid_utf8(tmp_path: Path) -> None:
    path = _lines_file(
        tmp_path,
        r'{"text": "a\ud800b", "label": "A"}',
        b'{"text": "c\xffd", "label": "A"}',
        r'{"text": "\ud83c\udf88", "label": "A"}',
    )
    texts = [row["text"] for row in _read(path, PLAIN)[0]]
    for text in texts[:2]:
        with pytest.raises(UnicodeDecodeError):
            text.decode()
    assert texts[2].decode() == "🎈"


def test_a_line_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_ROW_BYTES", 1_000)
    path = _lines_file(tmp_path, '{"text": "x", "label": "A"}', '{"text": "' + "y" * 2_000)
    with pytest.raises(DataError, match=r"line 2 of a\.jsonl is longer than"):
        _read(path, PLAIN)


def test_an_array_is_not_json_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"let its name end in \.json"):
        _read(_lines_file(tmp_path, '[{"text": "x", "label": "A"}]'), PLAIN)


@pytest.mark.parametrize("read", [1, 2, 7, 1_000])
def test_an_array_is_read_the_same_with_any_read_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: int
) -> None:
    monkeypatch.setattr(records, "_READ", read)
    path = tmp_path / "a.json"
    path.write_text(
        ' [ {"text": "é[,]{}\\"", "label": "A"} ,\n12345, {"text": NaN, "label": 7}] \n'
    )
    rows, numbers, broken = _read(path, PLAIN)
    assert rows == [{"text": 'é[,]{}"'.encode(), "label": b"A"}, {"text": None, "label": b"7"}]
    assert (numbers, broken) == ([1, 3], [(2, BROKEN_ROW)])


@pytest.mark.parametrize("read", [1, 1_000])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"data": [{"text": "x"}]', "array of objects"),
        ('{\n"text": {"0": "x"}}', "array of objects"),
        ('"text"', "array of objects"),
        ('[{"text": "x", "label": "A"}', "row 2 of the array is not JSON, or the file is cut off"),
        ('[{"text": "x", "label": "A"},', "row 2 of the array"),
        ('[{"text": "x", "label": "A"},]', "row 2 of the array"),
        ('[{"text": "x", "label": "A"} {"text": "y"}]', r"after row 1 of the array there is '\{'"),
        ('[{"text": "x", "label": "A"}] and more', "after the array there is"),
        ('[{"text": "x", "label": "A"}, {text: 1}]', "row 2 of the array"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_other_than_an_array_of_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: int, content: str, problem: str
) -> None:
    monkeypatch.setattr(records, "_READ", max(read, len(content) // 10))
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(DataError, match=problem):
        _read(path, PLAIN)


def test_an_empty_array_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(" [ ] \n")
    assert _read(tmp_path / "a.json", PLAIN) == ([], [], [])


def test_feather_version_1_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.feather").write_bytes(b"FEA1" + bytes(100))
    with pytest.raises(DataError, match="version 1: save it again"):
        _read(tmp_path / "a.feather", PLAIN)
