"""Bad input at the command line: a clear error, no traceback, nothing lost, nothing executed."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import Ktt, Outcome, rows

COLUMNS = ("--text", "title", "--classes", "category", "--sep", " > ")
GOOD = [f"{text},{' > '.join(path)}" for text, path in rows(40)]


def snapshot(folder: Path) -> dict[str, str]:
    """Return every file below a folder with a hash of its contents."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_clear(outcome: Outcome, code: int, *words: str) -> None:
    """Check the exit code, that the message holds `words`, and that no internals are shown."""
    assert outcome.code == code, outcome.err + outcome.out
    for word in words:
        assert word in outcome.err, outcome.err
    assert "Traceback" not in outcome.err
    assert "Internal error" not in outcome.err
    assert outcome.out == ""


@pytest.fixture
def trained(ktt: Ktt, shop: str, workspace: Path) -> Path:
    """Train both models and return the checkpoint of tfidf_hsgd."""
    assert ktt("train", shop, "-m", "tfidf_hsgd,tfidf_lsgd", "-e", "2").code == 0
    return next((workspace / "weights/tfidf_hsgd/shop").glob("best_*"))


# -- flags and names -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-flag"],
        ["no-such-command"],
        ["train", "shop"],
        ["train", "shop", "-m", "tfidf_hsgd", "-e", "many"],
        ["train", "shop", "-m", "tfidf_hsgd", "--set", "epochs"],
        ["train", "shop", "-m", "tfidf_hsgd", "--set", "epochs=-1"],
        ["train", "shop", "-m", "tfidf_hsgd", "--set", "epochs=NaN"],
        ["train", "shop", "-m", "tfidf_hsgd", "--set", "no_such_key=1"],
        ["train", "shop", "-m", "tfidf_hsgd", "--set", "epochs=" + "9" * 10_000],
        ["evaluate", "shop", "-m", "tfidf_hsgd", "--split", "dev"],
        ["evaluate", "shop", "-m", "tfidf_hsgd", "-t", "yesterday"],
        ["predict", "shop", "-m", "tfidf_hsgd", "--top-k", "0", "text"],
        ["predict", "shop", "-m", "tfidf_hsgd", "--min-confidence", "2", "text"],
        ["data", "import", "x.csv", "x", "--text", "a"],
        ["data", "import", "x.csv", "x", "--text", "a", "--classes", "b", "--level-columns", "c,d"],
        ["data", "import", "x.csv", "x", "--text", "a", "--classes", "b", "--depth", "0"],
        [
            "data",
            "import",
            "x.csv",
            "x",
            "--text",
            "a",
            "--classes",
            "b",
            "--train-ratio",
            "0.9",
            "--val-ratio",
            "0.5",
        ],
    ],
)
def test_a_wrong_flag(ktt: Ktt, shop: str, workspace: Path, arguments: list[str]) -> None:
    before = snapshot(workspace)
    outcome = ktt(*arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert len(outcome.err) < 2000
    assert snapshot(workspace) == before


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "a/b", "CON", "con", "", ".", "-x y", "a" * 64, "naïve", "a\nb", "a\x00b"],
)
@pytest.mark.parametrize(
    "command",
    [
        lambda name, source: ["data", "import", source, "--", name],
        lambda name, source: ["data", "show", "--", name],
        lambda name, source: ["train", "-m", "tfidf_hsgd", "--", name],
        lambda name, source: ["train", "shop", f"--models={name}"],
        lambda name, source: ["evaluate", "-m", "tfidf_hsgd", "--", name],
        lambda name, source: ["predict", f"--model={name}", "shop", "text"],
        lambda name, source: ["models", "--", name],
    ],
    ids=["import", "show", "train", "models of train", "evaluate", "model of predict", "models"],
)
def test_a_hostile_name(
    ktt: Ktt,
    shop: str,
    source: Path,
    workspace: Path,
    name: str,
    command: Callable[..., list[object]],
) -> None:
    before = snapshot(workspace)
    arguments = command(name, source)
    extra = list(COLUMNS) if arguments[:2] == ["data", "import"] else []
    assert_clear(ktt(*arguments[:2], *extra, *arguments[2:]), 2, "not a valid")
    assert snapshot(workspace) == before


def test_an_unknown_dataset_model_or_checkpoint_names_what_there_is(
    ktt: Ktt, trained: Path
) -> None:
    assert_clear(ktt("train", "shpo", "-m", "tfidf_hsgd"), 3, "shpo", "shop")
    assert_clear(ktt("train", "shop", "-m", "tfidf_hgsd"), 3, "tfidf_hgsd", "tfidf_hsgd")
    assert_clear(
        ktt("predict", "shop", "-m", "tfidf_hsgd", "-t", "2001-01-01T00:00:00", "x"),
        3,
        "2001-01-01",
    )
    assert_clear(ktt("predict", "shop", "-m", "tfidf_hsgd", "--last", "x"), 3, "best")


def test_errors_are_json_when_asked(ktt: Ktt, shop: str) -> None:
    outcome = ktt("data", "show", "nothing", "--json")
    assert outcome.code == 3
    assert json.loads(outcome.err)["error"]["type"] == "NotFoundError"
    assert json.loads(ktt("train", "--json").err)["error"]["type"] == "UsageError"


def test_a_second_import_of_a_name_needs_replace(
    ktt: Ktt, shop: str, source: Path, workspace: Path
) -> None:
    before = snapshot(workspace)
    assert_clear(ktt("data", "import", source, "shop", *COLUMNS), 5, "shop", "--replace")
    assert snapshot(workspace) == before
    assert ktt("data", "import", source, "shop", *COLUMNS, "--replace").code == 0


# -- sources ---------------------------------------------------------------------------------------


def csv(*lines: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        file = folder / "bad.csv"
        file.write_text("\n".join(["title,category", *lines]) + "\n", encoding="utf-8")
        return file

    return write


def truncated_parquet(folder: Path) -> Path:
    file = folder / "bad.parquet"
    texts, paths = zip(*rows(200), strict=True)
    pq.write_table(
        pa.table({"title": texts, "category": [" > ".join(path) for path in paths]}), file
    )
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])
    return file


def not_parquet(folder: Path) -> Path:
    file = folder / "bad.parquet"
    file.write_text("this is no parquet file")
    return file


def nan_text(folder: Path) -> Path:
    file = folder / "bad.parquet"
    pq.write_table(pa.table({"title": [1.0, float("nan")], "category": ["a > b", "a > c"]}), file)
    return file


def null_text(folder: Path) -> Path:
    file = folder / "bad.parquet"
    pq.write_table(
        pa.table({"title": ["x", None, "y"], "category": ["a > b", "a > b", "a > c"]}), file
    )
    return file


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda folder: folder / "missing.csv", ["missing.csv"]),
        (lambda folder: folder, ["folder"]),
        (truncated_parquet, ["bad.parquet"]),
        (not_parquet, ["bad.parquet"]),
        (csv(), ["no rows"]),
        (csv(*GOOD, "one,two,three", *GOOD), ["line 42"]),
        (csv(*GOOD, ",Sport > Shoes"), ["line 42"]),
        (csv(*GOOD, "   ,Sport > Shoes"), ["line 42"]),
        (csv(*GOOD, "x,Sport >  > Shoes"), ["line 42"]),
        (csv(*GOOD, f"x,Sport > {'S' * 5000}"), ["512", "line 42"]),
        (csv(*(f"text {number},Only > One" for number in range(20))), ["nothing to learn"]),
        (null_text, ["2"]),
        (nan_text, ["title"]),
    ],
    ids=[
        "missing",
        "a folder",
        "truncated parquet",
        "no parquet",
        "empty",
        "broken row",
        "no text",
        "blank text",
        "missing level",
        "endless class name",
        "one class",
        "null text",
        "NaN text",
    ],
)
def test_a_bad_source_is_refused_whole(
    ktt: Ktt, workspace: Path, tmp_path: Path, write: Callable[[Path], Path], words: list[str]
) -> None:
    outcome = ktt("data", "import", write(tmp_path), "bad", *COLUMNS)
    assert_clear(
        Outcome(outcome.code, outcome.out, outcome.err), 3 if "missing" in words[0] else 4, *words
    )
    assert "bad" not in ktt("data", "list", "--json").out
    assert not [path for path in workspace.rglob("*") if path.is_file()]


def test_bad_rows_are_skipped_on_request(ktt: Ktt, tmp_path: Path) -> None:
    source = csv(*GOOD, ",Sport > Shoes", f"x,Sport > {'S' * 5000}")(tmp_path)
    done = ktt("data", "import", source, "mended", *COLUMNS, "--on-error", "skip", "--json")
    assert done.code == 0, done.err
    assert sum(ktt("data", "show", "mended", "--json").json["sizes"].values()) == len(GOOD)


def test_a_missing_column_names_those_there_are(ktt: Ktt, source: Path) -> None:
    outcome = ktt("data", "import", source, "x", "--text", "titel", *COLUMNS[2:])
    assert outcome.code in (2, 4)
    assert "titel" in outcome.err
    assert "title" in outcome.err


def test_emoji_and_mixed_scripts_are_data_like_any_other(ktt: Ktt, tmp_path: Path) -> None:
    lines = [
        line
        for number in range(20)
        for line in (
            f"ボール ⚽️ {number},スポーツ ⚽️ > Мячи",
            f"гитара 🎸 {number},[red]Música > 👩‍🎤 गिटार",
        )
    ]
    assert ktt("data", "import", csv(*lines)(tmp_path), "world", *COLUMNS).code == 0
    assert ktt("train", "world", "-m", "tfidf_hsgd", "-r").code == 0
    shown = ktt("predict", "world", "-m", "tfidf_hsgd", "гитара 🎸")
    assert "[red]Música > 👩‍🎤 गिटार" in shown.out
    assert ktt("evaluate", "world", "-m", "tfidf_hsgd", "--json").json[0]["leaf_accuracy"] == 1.0


# -- checkpoints -----------------------------------------------------------------------------------


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, int, int]]:
        return os.open, (str(self.file), os.O_CREAT | os.O_WRONLY, 0o600)


def ask(ktt: Ktt) -> Outcome:
    return ktt("predict", "shop", "-m", "tfidf_hsgd", "red guitar")


def test_a_checkpoint_cut_in_half(ktt: Ktt, trained: Path) -> None:
    trained.write_bytes(trained.read_bytes()[: trained.stat().st_size // 2])
    assert_clear(ask(ktt), 4, trained.name)


def test_a_checkpoint_with_one_changed_byte(ktt: Ktt, trained: Path) -> None:
    data = bytearray(trained.read_bytes())
    data[-100] ^= 1
    trained.write_bytes(data)
    assert_clear(ask(ktt), 4, trained.name)


def test_an_empty_checkpoint(ktt: Ktt, trained: Path) -> None:
    trained.write_bytes(b"")
    assert_clear(ask(ktt), 4, trained.name)


def test_a_pickle_bomb_is_not_executed(ktt: Ktt, trained: Path, tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    trained.write_bytes(pickle.dumps(Bomb(trap)))
    assert_clear(ask(ktt), 4, trained.name)
    assert_clear(ktt("evaluate", "shop", "-m", "tfidf_hsgd"), 4, trained.name)
    assert ktt("checkpoints").code == 0
    assert not trap.exists()


def test_a_checkpoint_of_another_model(ktt: Ktt, trained: Path, workspace: Path) -> None:
    other = next((workspace / "weights/tfidf_lsgd/shop").glob("best_*"))
    shutil.copy(other, trained)
    assert_clear(ask(ktt), 4, "tfidf_lsgd", "tfidf_hsgd")


def test_a_checkpoint_of_another_taxonomy(ktt: Ktt, trained: Path, source: Path) -> None:
    assert ktt("data", "import", source, "shop", *COLUMNS, "--depth", "1", "--replace").code == 0
    assert_clear(ktt("evaluate", "shop", "-m", "tfidf_hsgd"), 4, "taxonomy")


def test_a_damaged_dataset(ktt: Ktt, shop: str, workspace: Path) -> None:
    file = workspace / "datasets/shop/train.parquet"
    file.write_bytes(file.read_bytes()[:100])
    assert_clear(ktt("train", "shop", "-m", "tfidf_hsgd"), 4, "shop")


def test_a_damaged_dataset_hides_no_other(
    ktt: Ktt, shop: str, source: Path, workspace: Path
) -> None:
    assert ktt("data", "import", source, "other", *COLUMNS).code == 0
    (workspace / "datasets/shop/val.parquet").unlink()
    listed = ktt("data", "list")
    assert listed.code == 0
    assert "other" in listed.out
    assert "shop" in listed.err


# -- streams ---------------------------------------------------------------------------------------


def test_what_was_answered_before_a_bad_line_is_still_json(
    ktt: Ktt, trained: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_bytes(b"red guitar\n" * 1500 + b"\xff\xfe\n")
    outcome = ktt("predict", "shop", "-m", "tfidf_hsgd", "--json", "-f", texts)
    assert outcome.code == 4
    assert len(outcome.json) == 1024
    assert "line 1,501" in json.loads(outcome.err)["error"]["message"]


def test_texts_that_cannot_be_classified_are_told_by_their_line_or_number(
    ktt: Ktt, trained: Path, tmp_path: Path
) -> None:
    texts = tmp_path / "texts.txt"
    for content, words in (
        (b"red guitar\n\0\nball\n", ["line 2 of", "is empty"]),
        (b"red guitar\n" + b"x" * 5_000_000, ["line 2 of", "more than 1,000,000 bytes"]),
    ):
        texts.write_bytes(content)
        assert_clear(ktt("predict", "shop", "-m", "tfidf_hsgd", "-f", texts), 4, *words)
    assert_clear(ktt("predict", "shop", "-m", "tfidf_hsgd", "a", " "), 2, "text 2 is empty")


def test_a_byte_order_mark_is_no_part_of_a_text(ktt: Ktt, trained: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_bytes(b"\xef\xbb\xbfred guitar\r\n")
    answers = ktt("predict", "shop", "-m", "tfidf_hsgd", "--json", "-f", texts).json
    assert [answer["text"] for answer in answers] == ["red guitar"]


def test_a_missing_file_of_texts(ktt: Ktt, trained: Path, tmp_path: Path) -> None:
    outcome = ktt("predict", "shop", "-m", "tfidf_hsgd", "-f", tmp_path / "none.txt")
    assert_clear(outcome, 3, "none.txt")


def test_a_reader_that_goes_away_is_no_error(trained: Path, workspace: Path) -> None:
    program = shlex.quote(sys.executable)
    script = (
        f"yes 'red guitar' | head -20000 | {program} -m cli.main --workspace {workspace} "
        "predict shop -m tfidf_hsgd | head -1; echo ${PIPESTATUS[2]}"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""
