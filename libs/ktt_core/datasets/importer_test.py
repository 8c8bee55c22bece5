from __future__ import annotations

import hashlib
import json
import os
import resource
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ktt_core.datasets import columnar, importer, labels
from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.datasets.report import ImportReport
from ktt_core.datasets.selection import select_rows
from ktt_core.errors import ConflictError, DataError, InvalidArgumentError, KttError, NotFoundError
from ktt_core.progress import Progress

Row = tuple[Any, Any, Any]

GOOD: list[Row] = [(f"text {i}", ["A", "B" if i % 2 else "C"], "train") for i in range(20)]


def _write(path: Path, rows: Sequence[Row]) -> Path:
    lines = [
        {"text": text, "path": path, **({"split": split} if split is not None else {})}
        for text, path, split in rows
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def _import(tmp_path: Path, rows: Sequence[Row], **options: Any) -> tuple[ImportReport, Dataset]:
    source = _write(tmp_path / "rows.jsonl", rows)
    folder = tmp_path / "datasets" / "toys"
    report = import_dataset(source, folder, ImportOptions("text", "path", **options), replace=True)
    return report, Dataset.open(folder)


def _rows(dataset: Dataset, name: str) -> list[tuple[str, tuple[str, ...]]]:
    split = dataset.split(name)
    paths = dataset.taxonomy.leaf_paths
    return [(t, paths[c[-1]]) for t, c in zip(split.texts(), split.codes(), strict=True)]


def _all_rows(dataset: Dataset) -> list[tuple[str, tuple[str, ...]]]:
    return [row for name in ("train", "val", "test") for row in _rows(dataset, name)]


def _assert_nothing_written(tmp_path: Path) -> None:
    assert not (tmp_path / "datasets").exists()


# -- what comes out -------------------------------------------------------------------------------

_names = st.sampled_from(["A", "B", "C", "日本", "🎈", " padded "])
_many_rows = st.lists(
    st.tuples(st.text(st.sampled_from("ab \n🎈"), max_size=5), st.lists(_names, max_size=4)),
    max_size=60,
)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_many_rows, st.sampled_from([1, 2, 3, "max"]), st.booleans(), st.integers(0, 5))
def test_an_import_keeps_every_usable_row_once(
    tmp_path: Path, rows: list[tuple[str, list[str]]], depth: Any, dedupe: bool, seed: int
) -> None:
    usable = [
        (
            " ".join(text.split()),
            tuple(name.strip() for name in path[: None if depth == "max" else depth]),
        )
        for text, path in rows
        if text.split() and path
    ]
    if dedupe:
        paths_of: dict[str, set[tuple[str, ...]]] = {}
        for text, path in usable:
            paths_of.setdefault(text, set()).add(path)
        usable = [row for row in dict.fromkeys(usable) if len(paths_of[row[0]]) == 1]
    options: dict[str, Any] = {"depth": depth, "dedupe": dedupe, "seed": seed, "on_error": "skip"}
    raw = [(text, path, None) for text, path in rows]
    if len({path for _, path in usable}) < 2:
        with pytest.raises(DataError):
            _import(tmp_path, raw, **options)
        return
    report, dataset = _import(tmp_path, raw, **options)

    assert Counter(_all_rows(dataset)) == Counter(usable)
    assert report.rows_read == len(rows)
    assert report.rows_dropped == len(rows) - len(usable)
    assert report.rows_written == dataset.sizes
    bad = sum(entry["count"] for entry in report.bad_rows.values())
    assert bad + report.duplicates + report.conflicting == report.rows_dropped
    in_train = {path for _, path in _rows(dataset, "train")}
    assert in_train == {path for _, path in usable}


def test_rows_keep_their_order_within_a_split(tmp_path: Path) -> None:
    _, dataset = _import(tmp_path, GOOD)
    for name in ("train", "val", "test"):
        numbers = [int(text.removeprefix("text ")) for text, _ in _rows(dataset, name)]
        assert numbers == sorted(numbers)


def test_the_split_does_not_depend_on_the_chunks_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"text": [f"t{i}" for i in range(500)], "path": [["A", str(i % 13)] for i in range(500)]}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    splits = []
    for chunk_rows in (7, 64, 10_000):
        monkeypatch.setattr(columnar, "CHUNK_ROWS", chunk_rows)
        folder = tmp_path / f"d{chunk_rows}"
        import_dataset(tmp_path / "a.parquet", folder, ImportOptions("text", "path", seed=3))
        dataset = Dataset.open(folder)
        splits.append([_rows(dataset, name) for name in ("train", "val", "test")])
    assert splits[0] == splits[1] == splits[2]
    assert [len(rows) for rows in splits[0]] == [400, 50, 50]


def test_hierarchy_json_names_the_source(tmp_path: Path) -> None:
    report, dataset = _import(tmp_path, GOOD, seed=5)
    source = (tmp_path / "rows.jsonl").read_bytes()
    assert dataset.source_fingerprint == "sha256:" + hashlib.sha256(source).hexdigest()
    assert dataset.hierarchy.source == {"file": "rows.jsonl", "bytes": len(source)}
    assert ImportOptions.from_json(dataset.options) == ImportOptions("text", "path", seed=5)
    assert dataset.hierarchy.report == report.to_json()
    assert dataset.hierarchy.text["train"]["max_characters"] == len("text 10")
    assert dataset.name == "toys"


def test_the_fingerprint_depends_on_rows_and_splits(tmp_path: Path) -> None:
    _, dataset = _import(tmp_path, GOOD)
    _, again = _import(tmp_path, GOOD, on_error="skip")
    assert again.fingerprint == dataset.fingerprint
    assert again.fingerprint.startswith("sha256:")
    others = [
        _import(tmp_path, GOOD, seed=1)[1],
        _import(tmp_path, GOOD, val_ratio=0.2)[1],
        _import(tmp_path, GOOD, depth=3)[1],
        _import(tmp_path, GOOD, split_column="split")[1],
    ]
    assert {other.source_fingerprint for other in others} == {dataset.source_fingerprint}
    others.append(_import(tmp_path, [*GOOD[1:], ("else", ["A", "B"], "train")])[1])
    assert len({other.fingerprint for other in [dataset, *others]}) == 6


def test_with_a_split_column_the_seed_has_no_effect(tmp_path: Path) -> None:
    _, dataset = _import(tmp_path, GOOD, split_column="split")
    assert _import(tmp_path, GOOD, split_column="split", seed=9)[1].fingerprint == (
        dataset.fingerprint
    )


def test_the_slower_of_two_concurrent_imports_is_refused_as_a_later_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = _write(tmp_path / "rows.jsonl", GOOD), tmp_path / "toys"
    options = ImportOptions("text", "path")

    def faster(*arguments: Any) -> Any:
        monkeypatch.undo()
        import_dataset(source, folder, options)
        return select_rows(*arguments)

    monkeypatch.setattr(importer, "select_rows", faster)
    told = []
    for _ in range(2):
        with pytest.raises(ConflictError) as error:
            import_dataset(source, folder, options)
        told.append(str(error.value))
    assert told[0] == told[1]
    assert "or replace it with --replace" in told[0]


def test_progress_ends_at_its_total(tmp_path: Path) -> None:
    source = _write(tmp_path / "rows.jsonl", GOOD)
    events: list[Progress] = []
    import_dataset(source, tmp_path / "toys", ImportOptions("text", "path"), events.append)
    last = {event.phase: event for event in events}
    assert set(last) == {"import", "write"}
    assert (last["import"].step, last["import"].unit) == (source.stat().st_size, "bytes")
    for event in last.values():
        assert event.step == event.total


# -- labels ---------------------------------------------------------------------------------------


def test_ragged_paths_are_padded_and_deep_ones_cut(tmp_path: Path) -> None:
    rows = [("a", ["A"], None), ("b", ["A", "B", "C"], None), ("c", [" D ", "E", None, ""], None)]
    _, dataset = _import(tmp_path, rows)
    assert dataset.taxonomy.depth == 3
    assert sorted(dataset.taxonomy.leaf_paths) == [("A",), ("A", "B", "C"), ("D", "E")]
    _, dataset = _import(tmp_path, rows, depth=2)
    assert sorted(dataset.taxonomy.leaf_paths) == [("A",), ("A", "B"), ("D", "E")]
    report, dataset = _import(tmp_path, rows, depth=5)
    assert dataset.taxonomy.depth == 5
    assert report.classes_per_level == [2, 2, 1, 0, 0]
    assert any("--depth 3 is enough" in warning for warning in report.warnings)


def test_one_column_per_level(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,l1,l2,l3\na,A,,\nb,A,B,\nc,A,B, C \nd,D,\x1f,x\n")
    options = ImportOptions("text", level_columns=("l1", "l2", "l3"), on_error="skip")
    report = import_dataset(tmp_path / "a.csv", tmp_path / "toys", options)
    paths = Dataset.open(tmp_path / "toys").taxonomy.leaf_paths
    assert sorted(paths) == [("A",), ("A", "B"), ("A", "B", "C")]
    assert report.bad_rows == {labels.MISSING_LEVEL: {"count": 1, "rows": [4], "lines": [5]}}


def test_a_name_with_the_internal_separator_is_not_split(tmp_path: Path) -> None:
    rows = [*GOOD, ("x", ["A\x1fB", "C"], None)]
    report, _ = _import(tmp_path, rows, on_error="skip")
    assert report.bad_rows == {labels.CONTROL_CHARACTER: {"count": 1, "rows": [21], "lines": [21]}}


def test_delimited_text(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("text\tclass\na\tA > B\nb\tA > B > \nc\tA>B\nd\tA >  > C\n")
    options = ImportOptions("text", "class", sep=" > ", on_error="skip")
    report = import_dataset(tmp_path / "a.tsv", tmp_path / "toys", options)
    assert sorted(Dataset.open(tmp_path / "toys").taxonomy.leaf_paths) == [("A", "B"), ("A>B",)]
    assert report.bad_rows == {labels.MISSING_LEVEL: {"count": 1, "rows": [4], "lines": [5]}}


def test_more_spellings_of_a_path_than_are_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "_REMEMBERED", 3)
    rows = [(f"t{i}", ["A", "BC"[i % 2], str(i)], None) for i in range(100)]
    _, dataset = _import(tmp_path, rows, depth=2)
    assert dataset.taxonomy.leaf_paths == (("A", "B"), ("A", "C"))
    assert len(_all_rows(dataset)) == 100


def test_texts_in_the_class_column_are_detected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "MAX_LEAVES", 50)
    with pytest.raises(DataError, match="do the label columns hold classes"):
        _import(tmp_path, [(f"t{i}", [f"text {i}"], None) for i in range(51)])


def test_emoji_and_mixed_scripts_are_ordinary_names(tmp_path: Path) -> None:
    rows = [("🎈🎈", ["🎈", "Ünïcode 日本語 עברית"], None), ("e\u0301", ["🎈", "e\u0301"], None)]
    _, dataset = _import(tmp_path, rows)
    assert sorted(_all_rows(dataset)) == sorted((text, tuple(path)) for text, path, _ in rows)


# -- splits and cleaning --------------------------------------------------------------------------


def test_a_split_column_decides_in_any_spelling(tmp_path: Path) -> None:
    names = ["train", "Training", " TEST ", "val", "valid", "Validation", "dev", "testing"]
    rows = [(f"text {i}", ["A", str(i % 2)], name) for i, name in enumerate(names)]
    _, dataset = _import(tmp_path, rows, split_column="split")
    assert dataset.sizes == {"train": 2, "val": 4, "test": 2}
    assert [text for text, _ in _rows(dataset, "test")] == ["text 2", "text 7"]


def test_leaves_missing_in_train_give_a_warning(tmp_path: Path) -> None:
    rows = [*GOOD, ("x", ["A", "new"], "test"), ("y", ["A", "new"], "test"), ("z", ["Z"], "test")]
    report, dataset = _import(tmp_path, rows, split_column="split")
    assert dataset.taxonomy.n_leaves == 4
    assert "2 leaf classes of test (3 rows) have no row in train" in "\n".join(report.warnings)
    assert "val has no rows" in report.warnings


def test_rare_leaves_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [*GOOD, ("x", ["A", "rare"], None), ("y", ["rare"], None), ("z", ["rare"], None)]
    report, dataset = _import(tmp_path, rows, min_rows_per_leaf=3)
    assert dataset.taxonomy.leaf_paths == (("A", "B"), ("A", "C"))
    assert (report.rare_leaves, report.rare_rows) == (2, 3)


def test_duplicates_are_kept_unless_dedupe_is_set(tmp_path: Path) -> None:
    rows = [*GOOD, ("TEXT  1", ["A", "B"], None), ("same", ["A", "B"], None), ("Same", ["A"], None)]
    report, dataset = _import(tmp_path, rows)
    assert len(_all_rows(dataset)) == 23
    report, dataset = _import(tmp_path, rows, dedupe=True)
    assert (report.duplicates, report.conflicting) == (1, 2)
    assert sorted(text for text, _ in _all_rows(dataset)) == sorted(text for text, _, _ in GOOD)


# -- bad rows -------------------------------------------------------------------------------------

BAD: dict[str, tuple[Any, Any, Any]] = {
    "empty text": ("", ["A", "B"], "train"),
    "whitespace text": (" \t\n\x00\u3000", ["A", "B"], "train"),
    "null text": (None, ["A", "B"], "train"),
    "NaN text": (float("nan"), ["A", "B"], "train"),
    "NaN written out": ("nan", ["A", "B"], "train"),
    "number for a text": (0.5, ["A", "B"], "train"),
    "invalid UTF-8": ("a\ud800", ["A", "B"], "train"),
    "no label": ("text", None, "train"),
    "empty label": ("text", [], "train"),
    "blank label": ("text", ["  "], "train"),
    "missing level": ("text", ["A", None, "C"], "train"),
    "too many levels": ("text", ["A"] * 65, "train"),
    "missing first level": ("text", ["", "B"], "train"),
    "long class name": ("text", ["A", "x" * 5_000], "train"),
    "line break in a name": ("text", ["A", "B\nC"], "train"),
    "escape in a name": ("text", ["A", "\x1b[31mred"], "train"),
    "invalid UTF-8 in a name": ("text", ["A", "\udfff"], "train"),
    "label that is no list": ("text", {"A": "B"}, "train"),
    "unknown split": ("text", ["A", "B"], "holdout"),
    "no split": ("text", ["A", "B"], None),
    "empty split": ("text", ["A", "B"], " "),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_stops_the_import_and_is_named(tmp_path: Path, kind: str) -> None:
    rows = [*GOOD, BAD[kind], *GOOD]
    with pytest.raises(DataError) as error:
        _import(tmp_path, rows, split_column="split")
    message = str(error.value)
    assert "1 of 41 rows of rows.jsonl" in message
    assert "(line 21)" in message
    assert "--on-error skip" in message
    assert len(message) < 450
    _assert_nothing_written(tmp_path)


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_can_be_left_out(tmp_path: Path, kind: str) -> None:
    report, dataset = _import(tmp_path, [*GOOD, BAD[kind]], split_column="split", on_error="skip")
    assert [entry["rows"] for entry in report.bad_rows.values()] == [[21]]
    assert len(_all_rows(dataset)) == len(GOOD)


def test_reasons_are_counted_with_their_first_rows(tmp_path: Path) -> None:
    rows = [*GOOD, *[("", ["A"], None)] * 15, ("x", ["", "A"], None)]
    report, _ = _import(tmp_path, rows, on_error="skip")
    assert report.bad_rows == {
        "empty text": {"count": 15, "rows": list(range(21, 31)), "lines": list(range(21, 31))},
        labels.MISSING_LEVEL: {"count": 1, "rows": [36], "lines": [36]},
    }
    with pytest.raises(DataError, match=r"empty text: 15 rows \(line 21, 22, .*30, \.\.\.\)"):
        _import(tmp_path, rows)


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        ("/A/B/", labels.SEPARATOR_FIRST),
        ("A//B", labels.MISSING_LEVEL),
        (" / / ", labels.NO_LABEL),
        ("", labels.NO_LABEL),
    ],
)
def test_an_invalid_delimited_label_is_reported_with_the_reason(
    tmp_path: Path, label: str, reason: str
) -> None:
    source = tmp_path / "rows.csv"
    good = [f"text {number},A/B/" for number in range(20)] + ["more,C"]
    source.write_text("\n".join(["text,label", *good, f'"two\nlines",{label}', "x,"]) + "\n")
    with pytest.raises(DataError) as error:
        import_dataset(source, tmp_path / "datasets" / "toys", ImportOptions("text", "label", "/"))
    where = "line 23, 25" if reason == labels.NO_LABEL else "line 23"
    assert f"({where})" in str(error.value)
    assert f"{reason}: " in str(error.value)


def test_the_report_of_bad_rows_covers_the_whole_file(tmp_path: Path) -> None:
    rows = [("", ["A"], None), *GOOD * 1_000, ("", ["A"], None)]
    with pytest.raises(DataError, match=r"2 of 20,002 rows .*\n.*\(line 1, 20002\)"):
        _import(tmp_path, rows)


def test_invalid_utf8_in_a_string_column_is_a_bad_row(tmp_path: Path) -> None:
    texts = pa.array([b"one", b"b\xffd", b"two"]).view(pa.string())
    names = pa.array([b"A", b"A", b"B\xff"]).view(pa.string())
    pq.write_table(pa.table({"text": texts, "name": names}), tmp_path / "a.parquet")
    options = ImportOptions("text", level_columns=("name",))
    with pytest.raises(DataError, match=r"invalid UTF-8: 2 rows \(row 2, 3\)"):
        import_dataset(tmp_path / "a.parquet", tmp_path / "datasets" / "toys", options)
    _assert_nothing_written(tmp_path)


# -- too little to learn from ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "options", "problem"),
    [
        ([], {}, "has no rows"),
        ([("", ["A"], None)], {"on_error": "skip"}, "no usable row is left"),
        (GOOD, {"depth": 1}, "nothing to learn: every usable row is of the class 'A'"),
        (GOOD, {"min_rows_per_leaf": 11}, "no usable row is left .*20 of rare leaves"),
        ([(t, p, "test") for t, p, _ in GOOD], {"split_column": "split"}, "no row is in train"),
        ([("x", ["A"], None), ("x", ["B"], None)], {"dedupe": True}, "no usable row is left"),
    ],
)
def test_too_little_to_learn_from(
    tmp_path: Path, rows: list[Row], options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        _import(tmp_path, rows, **options)
    _assert_nothing_written(tmp_path)


# -- where it goes --------------------------------------------------------------------------------


def test_a_dataset_is_overwritten_only_with_replace(tmp_path: Path) -> None:
    _import(tmp_path, GOOD)
    source, folder = tmp_path / "rows.jsonl", tmp_path / "datasets" / "toys"
    before = (folder / "hierarchy.json").read_bytes()
    with pytest.raises(ConflictError, match="dataset 'toys' already"):
        import_dataset(source, folder, ImportOptions("text", "path"))
    with pytest.raises(DataError):
        import_dataset(source, folder, ImportOptions("text", "path", depth=1), replace=True)
    assert (folder / "hierarchy.json").read_bytes() == before
    Dataset.open(folder)


@pytest.mark.parametrize("name", ["..", "a b", "CON", "x" * 64])
def test_a_bad_name_is_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="dataset name"):
        import_dataset(tmp_path / "missing.csv", tmp_path / name, ImportOptions("text", "path"))


def test_a_missing_file_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        import_dataset(
            tmp_path / "missing.csv", tmp_path / "datasets" / "toys", ImportOptions("text", "path")
        )
    _assert_nothing_written(tmp_path)


def test_a_source_that_changes_meanwhile_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _write(tmp_path / "rows.jsonl", GOOD)
    plan = select_rows

    def appended(*arguments: Any) -> Any:
        with source.open("a") as file:
            file.write('\n{"text": "late", "path": ["A", "B"]}')
        return plan(*arguments)

    monkeypatch.setattr(importer, "select_rows", appended)
    with pytest.raises(DataError, match="changed while it was read"):
        import_dataset(source, tmp_path / "datasets" / "toys", ImportOptions("text", "path"))
    _assert_nothing_written(tmp_path)


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    texts = [random.bytes(40).hex() for _ in range(20_000)]
    pq.write_table(pa.table({"text": texts, "name": ["A", "B"] * 10_000}), tmp_path / "a.parquet")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores SIGXFSZ, so the write fails as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(KttError, match="could not be written: File too large"):
            import_dataset(
                tmp_path / "a.parquet",
                tmp_path / "datasets" / "toys",
                ImportOptions("text", level_columns=("name",)),
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    _assert_nothing_written(tmp_path)


def test_a_workspace_that_is_a_file(tmp_path: Path) -> None:
    source = _write(tmp_path / "rows.jsonl", GOOD)
    (tmp_path / "datasets").write_text("not a folder")
    with pytest.raises(KttError, match="could not be written"):
        import_dataset(source, tmp_path / "datasets" / "toys", ImportOptions("text", "path"))


def test_a_file_name_that_is_not_utf8_does_not_matter(tmp_path: Path) -> None:
    source = _write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl")), GOOD)
    import_dataset(source, tmp_path / "toys", ImportOptions("text", "path"))
    assert Dataset.open(tmp_path / "toys").hierarchy.source["file"] == source.name


@pytest.mark.parametrize("column", ["my.text", "text with spaces", "text[0]", "日本"])
def test_column_names_of_any_shape(tmp_path: Path, column: str) -> None:
    table = pa.table({column: ["a", "b"], "text": ["x", "y"], "l.1": ["A", "B"]})
    pq.write_table(table, tmp_path / "a.parquet")
    with (tmp_path / "a.csv").open("wb") as file:
        csv.write_csv(table, file)
    for name in ("a.parquet", "a.csv"):
        options = ImportOptions(column, level_columns=("l.1",))
        import_dataset(tmp_path / name, tmp_path / "toys", options, replace=True)
        assert _rows(Dataset.open(tmp_path / "toys"), "train") == [("a", ("A",)), ("b", ("B",))]
