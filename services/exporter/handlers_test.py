"""Texts in, paths out: early errors, any number of texts, the checkpoint asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest

from exporter import Exporter
from ktt_core.config import build_config
from ktt_core.errors import CheckpointError, InvalidArgumentError, NotFoundError
from ktt_core.model import Batch
from ktt_core.registry import get_model
from ktt_core.taxonomy import Taxonomy

PATHS = [("Sport", "Shoes"), ("Sport", "Balls"), ("Music", "Guitars")]
TEXTS = ["running shoes", "tennis ball", "electric guitar"]
T1, T2 = "2026-01-31T12:34:56", "2026-01-31T12:34:57"


class Rows:
    """A loader over each text, 20 times."""

    n_rows = 60

    def __iter__(self) -> Iterator[Batch]:
        codes = np.array([TAXONOMY.encode(path) for path in PATHS] * 20, dtype=np.int32)
        yield Batch({"text": TEXTS * 20}, codes)


TAXONOMY = Taxonomy.from_paths(PATHS)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a workspace with two checkpoints of tfidf_hsgd on "shop"."""
    workspace = tmp_path_factory.mktemp("exporter")
    model_class = get_model("tfidf_hsgd")
    model = model_class(TAXONOMY, build_config(model_class.config_class, "m", {"n_jobs": 1}))
    folder = workspace / "weights/tfidf_hsgd/shop"
    for time in (T1, T2):
        model.fit(Rows(), Rows(), best_path=folder / f"best_{time}.safetensors")
    (folder / "last_2026-02-01T00:00:00.safetensors").write_bytes(b"\x80\x04nonsense")
    return workspace


def paths(answers: Any) -> list[tuple[str, ...]]:
    return [answer[0].path for answer in answers]


def test_levels_read_alone_are_not_misled_by_only_children(workspace: Path) -> None:
    # "Guitars" is the only child of "Music": conditional on its parent it is certain in every row.
    answers = Exporter(workspace).predict("shop", "tfidf_hsgd", TEXTS, decoding="independent")
    assert paths(answers) == PATHS


def test_every_text_gets_its_paths(workspace: Path) -> None:
    answers = list(Exporter(workspace).predict("shop", "tfidf_hsgd", TEXTS, top_k=2))
    assert paths(answers) == PATHS
    assert all(len(answer) == 2 for answer in answers)
    assert all(answer[0].probability >= answer[1].probability for answer in answers)


def test_blocks_make_no_difference(workspace: Path) -> None:
    exporter = Exporter(workspace)
    whole = paths(exporter.predict("shop", "tfidf_hsgd", TEXTS * 3))
    for rows in (1, 2, 100):
        assert paths(exporter.predict("shop", "tfidf_hsgd", TEXTS * 3, block_rows=rows)) == whole


def test_endless_input_is_answered_as_it_is_read(workspace: Path) -> None:
    read = 0

    def endless() -> Iterator[str]:
        nonlocal read
        for number in count():
            read += 1
            yield TEXTS[number % 3]

    answers = Exporter(workspace).predict("shop", "tfidf_hsgd", endless(), block_rows=4)
    assert read == 0
    assert len(list(islice(answers, 6))) == 6
    assert read == 8


def test_a_confidence_nothing_reaches_stops_above(workspace: Path) -> None:
    (answer,) = Exporter(workspace).predict("shop", "tfidf_hsgd", ["?"], min_confidence=1.0)
    assert answer[0].path == ()


def test_odd_texts_have_answers(workspace: Path) -> None:
    texts = ["\0x", "\U0001f600", "абв 中文", "a\nb", "x" * 100_000]
    assert len(list(Exporter(workspace).predict("shop", "tfidf_hsgd", texts))) == len(texts)
    assert list(Exporter(workspace).predict("shop", "tfidf_hsgd", [])) == []


def test_whitespace_is_as_an_import_leaves_it(workspace: Path) -> None:
    exporter = Exporter(workspace)
    (tidy,) = exporter.predict("shop", "tfidf_hsgd", ["running shoes"])
    (untidy,) = exporter.predict("shop", "tfidf_hsgd", ["\trunning\0 \u2003 shoes\n"])
    assert tidy == untidy


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("shop", "nothing"), {}, NotFoundError, "no model 'nothing'; there are"),
        (("shop", "../x"), {}, InvalidArgumentError, "not a valid model name"),
        (("../x", "tfidf_hsgd"), {}, InvalidArgumentError, "not a valid dataset name"),
        (("shop", "tfidf_lsgd"), {}, NotFoundError, "nothing was trained there yet"),
        (("else", "tfidf_hsgd"), {}, NotFoundError, "nothing was trained there yet"),
        (("shop", "tfidf_hsgd"), {"time": "2026-01-01T00:00:00"}, NotFoundError, T2),
        (("shop", "tfidf_hsgd"), {"time": "now"}, InvalidArgumentError, "not a run's time"),
        (("shop", "tfidf_hsgd"), {"label": "last"}, CheckpointError, "not a checkpoint|pickle"),
        (("shop", "tfidf_hsgd"), {"top_k": 0}, InvalidArgumentError, "top_k|top-k"),
        (("shop", "tfidf_hsgd"), {"min_confidence": 2}, InvalidArgumentError, "confidence"),
        (("shop", "tfidf_hsgd"), {"decoding": "x"}, InvalidArgumentError, "independent"),
        (("shop", "tfidf_hsgd"), {"block_rows": 0}, InvalidArgumentError, "at least one row"),
    ],
)
def test_mistakes_are_told_before_a_text_is_read(
    workspace: Path,
    arguments: tuple[str, str],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    def texts() -> Iterator[str]:
        raise AssertionError("a text was read")
        yield ""

    with pytest.raises(error, match=message):
        Exporter(workspace).predict(*arguments, texts(), **options)


def test_texts_that_are_none_are_named_by_their_number(workspace: Path) -> None:
    exporter = Exporter(workspace)
    with pytest.raises(InvalidArgumentError, match="text 3 is not valid Unicode"):
        list(exporter.predict("shop", "tfidf_hsgd", ["a", "b", "c\udcff"], block_rows=2))
    with pytest.raises(InvalidArgumentError, match="text 1 is not a string, but NoneType"):
        list(exporter.predict("shop", "tfidf_hsgd", [None]))  # type: ignore[list-item]
    with pytest.raises(InvalidArgumentError, match="text 2 is empty"):
        list(exporter.predict("shop", "tfidf_hsgd", ["a", "\0 \n"]))
    with pytest.raises(InvalidArgumentError, match="text 1 has 5,000,000 bytes"):
        list(exporter.predict("shop", "tfidf_hsgd", ["x" * 5_000_000]))
    with pytest.raises(InvalidArgumentError, match="wrap it in a list"):
        exporter.predict("shop", "tfidf_hsgd", "one text")


def test_a_checkpoint_is_read_once(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = Exporter(workspace)
    first = list(exporter.predict("shop", "tfidf_hsgd", TEXTS))
    monkeypatch.setattr(get_model("tfidf_hsgd"), "from_checkpoint", None)
    assert list(exporter.predict("shop", "tfidf_hsgd", TEXTS)) == first
    with pytest.raises(TypeError):
        exporter.predict("shop", "tfidf_hsgd", TEXTS, time=T1)


def test_threads_that_ask_at_once_load_a_model_once(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter = Exporter(workspace)
    model_class = get_model("tfidf_hsgd")
    read, loads = model_class.from_checkpoint, []

    def slow(path: Path) -> Any:
        loads.append(path)
        sleep(0.1)
        return read(path)

    monkeypatch.setattr(model_class, "from_checkpoint", slow)
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda n: list(exporter.predict("shop", "tfidf_hsgd", TEXTS)), range(8))
        assert [paths(answer) for answer in answers] == [PATHS] * 8
    assert len(loads) == 1


def test_the_models_used_last_stay_loaded(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = Exporter(workspace, model_cache=1)
    for time_ in (T1, T2):
        exporter.predict("shop", "tfidf_hsgd", [], time=time_)
    monkeypatch.setattr(get_model("tfidf_hsgd"), "from_checkpoint", None)
    exporter.predict("shop", "tfidf_hsgd", [], time=T2)
    with pytest.raises(TypeError):
        exporter.predict("shop", "tfidf_hsgd", [], time=T1)


@pytest.mark.parametrize(
    ("arguments", "options", "field"),
    [
        (("../x", "tfidf_hsgd"), {}, "dataset"),
        (("shop", "../x"), {}, "model"),
        (("shop", "tfidf_hsgd"), {"label": "x"}, "label"),
        (("shop", "tfidf_hsgd"), {"time": "x"}, "run_time"),
        (("shop", "tfidf_hsgd"), {"top_k": 0}, "top_k"),
        (("shop", "tfidf_hsgd"), {"min_confidence": 2}, "min_confidence"),
        (("shop", "tfidf_hsgd"), {"decoding": "x"}, "decoding"),
        (("shop", "tfidf_hsgd"), {"decoding": "independent", "top_k": 2}, "decoding"),
    ],
)
def test_mistakes_name_their_field(
    workspace: Path, arguments: tuple[str, str], options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Exporter(workspace).predict(*arguments, [], **options)
    assert caught.value.field == field


def test_a_text_that_is_none_is_named_as_a_field(workspace: Path) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        list(Exporter(workspace).predict("shop", "tfidf_hsgd", ["a", "b\udcff"]))
    assert caught.value.field == "texts[1]"


def test_importing_the_exporter_is_light() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from pathlib import Path; from exporter import Exporter; Exporter(Path('x'))\n"
        "print({'numpy', 'sklearn', 'numba', 'torch', 'pyarrow'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
