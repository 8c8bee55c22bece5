from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktt_core.datasets import pinned
from ktt_core.datasets.dataset import SCHEMA, Dataset
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import DataError, NotFoundError

N_ROWS = 1_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = [f"text {i} {'🎈' * (i % 3)}" for i in range(N_ROWS)]
    paths = [["A", str(i % 7)] if i % 5 else ["B"] for i in range(N_ROWS)]
    pq.write_table(pa.table({"text": texts, "path": paths}), tmp_path / "source.parquet")
    import_dataset(tmp_path / "source.parquet", tmp_path / "toys", ImportOptions("text", "path"))
    return tmp_path / "toys"


def test_batches_are_the_whole_split_in_order(folder: Path) -> None:
    split = Dataset.open(folder).split("train")
    texts, codes = split.texts(), split.codes()
    assert len(texts) == len(split) == split.n_rows == 800
    assert codes.shape == (800, 2)
    assert codes.dtype == np.int32
    for batch_rows in (1, 7, 800, 5_000):
        batches = list(split.iter_batches(batch_rows))
        assert [text for batch, _ in batches for text in batch] == texts
        assert np.array_equal(np.concatenate([batch for _, batch in batches]), codes)
        lengths = [len(batch) for batch, _ in batches]
        assert all(length == batch_rows for length in lengths[:-1])


def test_codes_are_the_rows_classes(folder: Path) -> None:
    dataset = Dataset.open(folder)
    for name in ("train", "val", "test"):
        for texts, codes in dataset.split(name).iter_batches(64):
            for text, code in zip(texts, codes, strict=True):
                number = int(text.split()[1])
                path = ("A", str(number % 7)) if number % 5 else ("B",)
                assert dataset.taxonomy.leaf_paths[code[-1]] == path


def test_an_empty_split_has_no_batches(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "name": ["A", "B"]}), tmp_path / "s.parquet")
    options = ImportOptions("text", level_columns=("name",))
    import_dataset(tmp_path / "s.parquet", tmp_path / "toys", options)
    split = Dataset.open(tmp_path / "toys").split("val")
    assert split.n_rows == 0
    assert list(split.iter_batches(8)) == []
    assert split.texts() == []
    assert split.codes().shape == (0, 1)


def test_a_missing_dataset_or_split_is_not_found(folder: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no dataset in"):
        Dataset.open(folder / "missing")
    with pytest.raises(NotFoundError, match="train, val, test"):
        Dataset.open(folder).split("holdout")


def _replace(folder: Path, n_rows: int) -> None:
    """Replace `folder` by a dataset with as many rows and leaves."""
    source = folder.parent / "other.parquet"
    paths = [["A", str(i % 7)] if i % 5 else ["B"] for i in range(n_rows)]
    pq.write_table(pa.table({"text": [f"other {i}" for i in range(n_rows)], "path": paths}), source)
    import_dataset(source, folder, ImportOptions("text", "path"), replace=True)


def test_an_opened_dataset_stays_the_same_when_it_is_replaced(folder: Path) -> None:
    dataset = Dataset.open(folder)
    split = dataset.split("train")
    expected, codes = split.texts(), split.codes()
    batches = split.iter_batches(64)
    read = next(batches)[0]
    _replace(folder, N_ROWS)
    assert read + [text for texts, _ in batches for text in texts] == expected
    assert split.texts() == expected
    assert np.array_equal(split.codes(), codes)
    assert dataset.split("test").texts()[0].startswith("text")
    assert Dataset.open(folder).split("train").texts()[0].startswith("other")


def test_a_dataset_replaced_while_it_is_opened_is_consistent(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = pinned._pin

    def pin_late(path: Path, within: int) -> Any:
        if path.name == "val.parquet":
            monkeypatch.undo()
            _replace(folder, N_ROWS + 200)
        return pin(path, within)

    monkeypatch.setattr(pinned, "_pin", pin_late)
    dataset = Dataset.open(folder)
    texts = [text for name in ("train", "val", "test") for text in dataset.split(name).texts()]
    assert len(texts) == sum(dataset.sizes.values()) == N_ROWS + 200
    assert all(text.startswith("other") for text in texts)


def test_readers_of_one_split_do_not_disturb_each_other(folder: Path) -> None:
    split = Dataset.open(folder).split("train")
    pairs = list(zip(split.iter_batches(50), split.iter_batches(50), strict=True))
    assert all(first[0] == second[0] for first, second in pairs)


def test_an_unreferenced_dataset_closes_its_files(folder: Path) -> None:
    def opened() -> int:
        return sum(
            str(folder) in str(entry.readlink())
            for entry in Path("/proc/self/fd").iterdir()
            if entry.is_symlink()
        )

    dataset = Dataset.open(folder)
    dataset.split("train").texts()
    assert opened() == 3
    del dataset
    assert opened() == 0


def _delete(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("name", ["hierarchy.json", "train.parquet", "val.parquet", "test.parquet"])
@pytest.mark.parametrize("damage", [_delete, _cut, _empty])
def test_a_damaged_file_is_detected_when_opened(
    folder: Path, name: str, damage: Callable[[Path], None]
) -> None:
    damage(folder / name)
    with pytest.raises(
        DataError, match=rf"toys is damaged: {name}: .*; import it again with --replace"
    ):
        Dataset.open(folder)


def _edited(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "hierarchy.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.clear(),
        lambda value: value.update(format=99),
        lambda value: value.pop("taxonomy"),
        lambda value: value.update(taxonomy={"format": 1, "names": [["A"]], "parents": [[5]]}),
        lambda value: value.pop("sizes"),
        lambda value: value["sizes"].update(train=799),
        lambda value: value["sizes"].update(train="800"),
        lambda value: value["sizes"].update(train=True),
        lambda value: value["sizes"].update(train=-1),
        lambda value: value["sizes"].pop("val"),
        lambda value: value.update(versions={"numpy": 2}),
        lambda value: value.update(options=[]),
        lambda value: value.update(fingerprint=None),
        lambda value: value.pop("source_fingerprint"),
    ],
)
def test_an_inconsistent_hierarchy_is_detected_when_opened(
    folder: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    _edited(folder, change)
    with pytest.raises(DataError, match=r"import (it|the dataset) again with --replace"):
        Dataset.open(folder)


def test_a_source_may_have_a_name_that_is_no_text(folder: Path) -> None:
    _edited(folder, lambda value: value["source"].update(file="\udc80.csv"))
    assert Dataset.open(folder).hierarchy.source["file"] == "\udc80.csv"


def test_what_is_wrong_in_a_hierarchy_is_told_with_its_place(folder: Path) -> None:
    _edited(folder, lambda value: value["sizes"].update(train="800"))
    with pytest.raises(DataError, match=r"hierarchy.json: 'sizes.train' is '800', and should be"):
        Dataset.open(folder)


def test_a_hierarchy_of_hostile_json_is_detected(folder: Path) -> None:
    for content in ("[" * 200_000, "null", "[]", '"x"', "{", "\ud7ff", "1" * 5_000):
        (folder / "hierarchy.json").write_text(content)
        with pytest.raises(DataError, match="damaged"):
            Dataset.open(folder)


def test_a_parquet_file_of_other_columns_is_detected_when_opened(folder: Path) -> None:
    table = pq.read_table(folder / "train.parquet")
    pq.write_table(table.rename_columns(["title", "codes"]), folder / "train.parquet")
    with pytest.raises(DataError, match="its columns are"):
        Dataset.open(folder)


def _codes_of(rows: list[Any]) -> pa.Array:
    return pa.array(rows, SCHEMA.field("codes").type)


@pytest.mark.parametrize(
    "bad",
    [[0, 99], [0, -1], [1, 0], [0], [0, 0, 0], None, [0, None]],
    ids=["unknown", "negative", "no path", "short", "long", "null", "null code"],
)
def test_codes_outside_the_taxonomy_are_detected_when_read(folder: Path, bad: Any) -> None:
    table = pq.read_table(folder / "train.parquet")
    codes = table["codes"].to_pylist()
    codes[400] = bad
    pq.write_table(
        pa.table({"text": table["text"], "codes": _codes_of(codes)}), folder / "train.parquet"
    )
    split = Dataset.open(folder).split("train")
    for read in (split.codes, lambda: list(split.iter_batches(64))):
        with pytest.raises(DataError, match=r"train\.parquet: .*cod"):
            read()


@pytest.mark.parametrize("bad", [None, b"\xff"], ids=["null", "not UTF-8"])
def test_null_or_invalid_texts_are_detected_when_read(folder: Path, bad: bytes | None) -> None:
    table = pq.read_table(folder / "train.parquet")
    texts = [text.encode() for text in table["text"].to_pylist()]
    texts[400] = bad
    column = pa.array(texts, pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": column, "codes": table["codes"]}), folder / "train.parquet")
    with pytest.raises(DataError, match=r"train\.parquet: a text is"):
        Dataset.open(folder).split("train").texts()


def test_a_damaged_page_is_detected_when_read(folder: Path) -> None:
    path = folder / "train.parquet"
    data = bytearray(path.read_bytes())
    for place in range(200, 260):
        data[place] ^= 0xFF
    path.write_bytes(data)
    split = Dataset.open(folder).split("train")
    with pytest.raises(DataError, match=r"train\.parquet"):
        list(split.iter_batches(64))
