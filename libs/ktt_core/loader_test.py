from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ktt_core.datasets import staging
from ktt_core.datasets.dataset import Dataset, Split
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import InvalidArgumentError, UnsupportedError
from ktt_core.loader import SplitLoader, WatchedLoader, block_rows
from ktt_core.progress import Progress
from ktt_core.taxonomy import Taxonomy


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Split:
    # Sorted by class, as exports of databases are, in row groups of 50.
    monkeypatch.setattr(staging, "GROUP_ROWS", 50)
    rows = 1_000
    table = pa.table(
        {"text": [str(i) for i in range(rows)], "c": [str(i // 200) for i in range(rows)]}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    options = ImportOptions("text", level_columns=("c",), train_ratio=1.0, val_ratio=0.0)
    import_dataset(tmp_path / "a.parquet", tmp_path / "toys", options)
    return Dataset.open(tmp_path / "toys").split("train")


def _upper(texts: Sequence[str]) -> dict[str, Any]:
    return {"text": [f"<{text}>" for text in texts]}


def test_batches_go_through_the_preprocessor_in_file_order(split: Split) -> None:
    loader = SplitLoader(split, _upper, batch_rows=64)
    assert loader.n_rows == 1_000
    for _ in range(2):
        batches = list(loader)
        assert len(batches) == len(loader) == 16
        assert [len(batch.codes) for batch in batches] == [64] * 15 + [40]
        assert [text for b in batches for text in b.inputs["text"]] == [
            f"<{i}>" for i in range(1_000)
        ]


@pytest.mark.parametrize(
    "make",
    [
        lambda texts: [text for text in texts if text != "700"],
        lambda texts: [None if text == "700" else text for text in texts],
    ],
)
def test_rows_without_their_text_are_the_preprocessors_error(
    split: Split, make: Callable[[Sequence[str]], list[Any]]
) -> None:
    batches = iter(SplitLoader(split, lambda texts: {"text": make(texts)}, batch_rows=500))
    assert len(next(batches).codes) == 500
    with pytest.raises(UnsupportedError, match="must make one text of every text"):
        next(batches)


def test_a_batch_needs_a_row(split: Split) -> None:
    with pytest.raises(InvalidArgumentError, match="at least one row"):
        SplitLoader(split, _upper, 0)


def test_a_watched_loader_is_the_loader_and_tells_how_far_it_was_read(split: Split) -> None:
    seen: list[Progress] = []
    loader = SplitLoader(split, _upper, batch_rows=400)
    watched = WatchedLoader(loader, "reference", seen.append)
    assert [batch.inputs for batch in watched] == [batch.inputs for batch in loader]
    assert [(event.phase, event.step, event.total) for event in seen] == [
        ("reference", done, 1_000) for done in (0, 400, 800, 1_000)
    ]
    # A model that looks at its loader finds its own.
    assert watched.taxonomy is split.taxonomy and watched.batch_rows == 400
    with pytest.raises(AttributeError):
        _ = watched.nothing_of_the_kind


def test_blocks_shrink_as_classes_grow_but_never_to_nothing() -> None:
    small = Taxonomy.from_paths([("a",), ("b",)])
    large = Taxonomy.from_paths([(str(number),) for number in range(20_000)])
    assert block_rows(small) == 4096
    assert block_rows(large) == 2**23 // 20_000
