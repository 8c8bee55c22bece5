"""Checkpoints on rows from elsewhere: what they know is measured, what they do not is counted."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from ktt_core.config import build_config
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import (
    CheckpointError,
    DataError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
)
from ktt_core.progress import Progress, ignore_progress
from ktt_core.registry import get_model
from ktt_jobs import Job, JobState
from trainer import Baseline, EvaluateRequest, RowSource, Trainer
from trainer.evaluating import evaluate_model
from trainer.job_results import evaluation_result
from trainer.specs import EvaluationSpec

OPTIONS = ImportOptions("text", "path", " > ")
T1 = "2026-01-31T12:34:56"

#: What a text of each class is recognised by.
OLD: dict[tuple[str, ...], str] = {
    ("a", "x"): "apple",
    ("a", "y"): "pear",
    ("b", "z"): "bike",
    ("b", "q"): "quad",
}
NEW: dict[tuple[str, ...], str] = {
    ("a", "x"): "apple",
    ("a", "y"): "pear",
    ("a", "w"): "plum",
    ("b", "z"): "bike",
    ("c",): "c",
}


def write_rows(file: Path, rows: Sequence[tuple[str, tuple[str, ...]]]) -> Path:
    """Write labelled texts as CSV."""
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "path"])
        writer.writerows((text, " > ".join(path)) for text, path in rows)
    return file


def labelled(words: Mapping[Any, str], mark: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return forty rows of each class."""
    return [(f"{word} {mark}{n}", path) for n in range(40) for path, word in words.items()]


def make_model(trainer: Trainer, name: str, rows: list[tuple[str, tuple[str, ...]]]) -> None:
    """Import a dataset and train tfidf_lsgd on it, in this process."""
    source = write_rows(trainer.root.parent / f"{name}.csv", rows)
    trainer.import_dataset(source, name, OPTIONS)
    dataset = trainer.workspace.open_dataset(name)
    model_class = get_model("tfidf_lsgd")
    config = build_config(model_class.config_class, "tfidf_lsgd", {"n_jobs": 1})
    load, preprocessor = model_class.get_dataloader_func(), model_class.get_preprocessor(config)
    model: Any = model_class(dataset.taxonomy, config)
    model.record.fingerprint = dataset.fingerprint
    train, val = (load(dataset.split(split), preprocessor, config) for split in ("train", "val"))
    folder = trainer.workspace.weights_folder("tfidf_lsgd", name)
    model.fit(train, val, best_path=folder / f"best_{T1}.safetensors")


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """Return a trainer with models of the datasets "old" and "new", whose classes overlap."""
    trainer = Trainer(tmp_path_factory.mktemp("rows") / "workspace")
    make_model(trainer, "old", labelled(OLD, "old"))
    make_model(trainer, "new", labelled(NEW, "new"))
    return trainer


def evaluate(trainer: Trainer, dataset: str, **fields: Any) -> Any:
    """Evaluate in this process, and see that nothing stays."""
    before = sorted(trainer.root.rglob("*"))
    kept = trainer.root.parent / "kept"
    errors = fields.pop("errors_path", None)
    spec = EvaluationSpec(dataset, "tfidf_lsgd", **fields)
    try:
        outcome = evaluate_model(trainer.workspace, spec, ignore_progress, kept, errors)
    finally:
        assert sorted(trainer.root.rglob("*")) == before
        assert list(kept.glob("*")) == []
    job = Job(
        "0b5e6f1c", "evaluation", spec.to_json(), spec.labels, JobState.SUCCEEDED,
        datetime.now(UTC), result=outcome.to_json(),
    )  # fmt: skip
    return evaluation_result(job, trainer.root)


def on_file(file: Path, options: ImportOptions = OPTIONS) -> dict[str, Any]:
    """Return the fields of a spec whose rows are a file's."""
    return {"on_file": str(file), "file_options": options.to_json()}


def test_the_metrics_are_over_the_classes_that_the_model_knows(trainer: Trainer) -> None:
    result = evaluate(trainer, "old", on_dataset="new", split="train")
    sizes = trainer.get_dataset("new").sizes
    unknown = result.unknown
    assert result.on == "new"
    assert result.rows + unknown.rows == result.all_rows.rows == sizes["train"]
    assert unknown.classes == 2 and {it.path for it in unknown.largest} == {("a", "w"), ("c",)}
    assert unknown.partly_known_rows == next(
        it.rows for it in unknown.largest if it.path == ("a", "w")
    )
    assert result.metrics["leaf_accuracy"] == 1.0
    # Unknown classes are wrong, but the parent of a new leaf can be right.
    figures = result.all_rows.figures
    assert figures["leaf_accuracy"] == pytest.approx(result.rows / sizes["train"])
    assert figures["leaf_accuracy"] < figures["hierarchical_recall"] < 1.0


def test_its_own_dataset_by_name_gives_the_same_metrics(trainer: Trainer) -> None:
    plain = evaluate(trainer, "old")
    named = evaluate(trainer, "old", on_dataset="old")
    assert named.metrics == plain.metrics and named.rows == plain.rows
    assert plain.unknown is None and plain.all_rows is None and plain.on == ""
    assert named.unknown.rows == 0 and named.warnings == plain.warnings == []


def test_a_file_is_read_as_an_import_reads_it_and_leaves_nothing(
    trainer: Trainer, tmp_path: Path
) -> None:
    rows = [("an apple", ("a", "x")), ("a bike", ("b", "z")), ("hm", ("a",)), ("plum", ("a", "w"))]
    file = write_rows(tmp_path / "rows.csv", rows)
    result = evaluate(trainer, "old", **on_file(file))
    assert (result.rows, result.unknown.rows, result.all_rows.rows) == (2, 2, 4)
    assert result.to_json()["split"] is None
    # A path that ends where the model goes on is none of its answers.
    assert {it.path for it in result.unknown.largest} == {("a",), ("a", "w")}
    assert result.unknown.partly_known_rows == 2
    file.write_text(file.read_text() + ",a > x\n")
    with pytest.raises(DataError, match="1 of 5 rows of rows.csv cannot be used"):
        evaluate(trainer, "old", **on_file(file))
    skipping = ImportOptions("text", "path", " > ", on_error="skip")
    skipped = evaluate(trainer, "old", **on_file(file, skipping))
    assert skipped.metrics == result.metrics and "1 bad rows" in skipped.warnings[0]


def test_a_text_of_a_file_that_no_prediction_takes_makes_its_row_bad(
    trainer: Trainer, tmp_path: Path
) -> None:
    largest, too_large = "apple " * 166_666 + "pear", "apple " * 166_667
    assert len(largest) == 1_000_000 and len(too_large) == 1_000_002
    rows = [(largest, ("a", "x")), ("a bike", ("b", "z")), (too_large, ("a", "x"))]
    file = write_rows(tmp_path / "rows.csv", rows)
    with pytest.raises(DataError, match="text of more than 1,000,000 bytes: 1 row .line 4"):
        evaluate(trainer, "old", **on_file(file))
    skipping = ImportOptions("text", "path", " > ", on_error="skip")
    skipped = evaluate(trainer, "old", **on_file(file, skipping))
    assert skipped.rows == 2 and "more than 1,000,000 bytes" in skipped.warnings[0]


def test_a_split_column_says_which_rows_of_a_file(trainer: Trainer, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("text,path,part\napple,a > x,test\nbike,b > z,train\npear,a > y,test\n")
    options = ImportOptions("text", "path", " > ", split_column="part")
    assert evaluate(trainer, "old", **on_file(file, options)).rows == 2
    of_train = evaluate(trainer, "old", split="train", **on_file(file, options))
    assert (of_train.rows, of_train.to_json()["split"]) == (1, "train")
    with pytest.raises(DataError, match="no usable row of the split 'val'"):
        evaluate(trainer, "old", split="val", **on_file(file, options))


def test_no_class_in_common_is_an_error(trainer: Trainer, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.csv", [("apple", ("fruit", "x"))])
    with pytest.raises(DataError, match="none of the 1 rows .*'fruit > x'.*'a > x'"):
        evaluate(trainer, "old", **on_file(file))


def test_two_checkpoints_answer_the_rows_that_both_know(trainer: Trainer, tmp_path: Path) -> None:
    rows = labelled(NEW, "fresh") + labelled({("b", "q"): "quad"}, "fresh")
    # What "old" calls a quad is a bike to "new".
    rows += [("quad", ("b", "z"))] * 20
    file = write_rows(tmp_path / "rows.csv", rows)
    baseline = {"baseline_dataset": "old", "baseline_model": "tfidf_lsgd"}
    result = evaluate(trainer, "new", **on_file(file), **baseline)
    other = result.comparison
    assert (other.dataset, other.model) == ("old", "tfidf_lsgd")
    assert other.checkpoint_path == f"weights/tfidf_lsgd/old/best_{T1}.safetensors"
    assert result.rows == 3 * 40 + 20 and result.all_rows.rows == other.all_rows.rows == len(rows)
    assert result.unknown.rows == 40 and other.unknown.rows == 80
    for name, difference in other.differences.items():
        assert difference.value == pytest.approx(result.metrics[name] - other.figures[name])
        assert difference.low <= difference.value <= difference.high
        over_all = other.all_differences[name]
        ours, theirs = result.all_rows.figures, other.all_rows.figures
        assert over_all.value == pytest.approx(ours[name] - theirs[name])
        assert over_all.sign == 1
    assert evaluate(trainer, "new", **on_file(file), **baseline).comparison == other
    with pytest.raises(InvalidArgumentError, match="compared with itself"):
        evaluate(trainer, "old", **baseline)
    with pytest.raises(NotFoundError, match="nothing was trained there"):
        evaluate(trainer, "old", baseline_dataset="older", baseline_model="tfidf_lsgd")


def test_rows_that_a_model_learned_from_are_told_and_can_be_left_out(
    trainer: Trainer, tmp_path: Path
) -> None:
    learned = trainer.workspace.open_dataset("old").split("train").texts()[:5]
    words = {word: path for path, word in OLD.items()}
    rows = [(text.upper(), words[text.split()[0]]) for text in learned]
    file = write_rows(tmp_path / "rows.csv", [*rows, ("apple, new", ("a", "x"))])
    warned = evaluate(trainer, "old", **on_file(file))
    (warning,) = warned.warnings
    assert "5 of 6 rows have texts that tfidf_lsgd of 'old' was trained" in warning
    left = evaluate(trainer, "old", **on_file(file), unseen=True)
    assert (left.rows, left.seen_rows, left.warnings) == (1, 5, [])
    seen = write_rows(tmp_path / "seen.csv", rows)
    with pytest.raises(FailedPreconditionError, match="all 5 rows of seen.csv"):
        evaluate(trainer, "old", **on_file(seen), unseen=True)
    with pytest.raises(FailedPreconditionError, match="all .* rows of old"):
        evaluate(trainer, "old", split="train", unseen=True)


def test_wrong_answers_are_listed_most_surely_first(trainer: Trainer, tmp_path: Path) -> None:
    rows = [
        ("apple", ("a", "x")),
        ("quad quad", ("b", "z")),
        ('=pear, "quoted"', ("b", "z")),
        ("plum", ("a", "w")),
        ("c", ("c",)),
    ]
    file = write_rows(tmp_path / "rows.csv", rows)
    errors = tmp_path / "errors.parquet"
    result = evaluate(trainer, "old", **on_file(file), errors_path=errors)
    listed = pq.read_table(errors).to_pylist()
    assert result.error_rows == len(listed) == 4
    assert [entry["row"] for entry in sorted(listed, key=lambda entry: entry["row"])] == [
        2,
        3,
        4,
        5,
    ]
    sure = [entry["probability"] for entry in listed]
    assert sure == sorted(sure, reverse=True)
    for entry in listed:
        text, path = rows[entry["row"] - 1]
        assert (entry["text"], tuple(entry["true_path"])) == (text, path)
        assert tuple(entry["predicted_path"]) in OLD and tuple(entry["predicted_path"]) != path
        assert (entry["model"], entry["dataset"], entry["run"]) == ("tfidf_lsgd", "old", T1)
    known = {entry["row"]: entry["known"] for entry in listed}
    assert known == {2: "yes", 3: "yes", 4: "partly", 5: "no"}


def test_jobs_do_the_same_and_keep_no_texts(trainer: Trainer, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.csv", labelled(NEW, "fresh"))
    request = EvaluateRequest(
        "new",
        ("tfidf_lsgd",),
        rows=RowSource(file=file, options=OPTIONS),
        baseline=Baseline("old"),
        errors_folder=tmp_path,
    )
    phases: list[str] = []

    def note(event: Progress) -> None:
        phases.append(event.phase)

    (result,) = trainer.evaluate_on(request, note)
    # Phases that are over at once may go untold.
    assert phases[0] == "import" and phases[-1] == "list errors"
    assert result.on == "rows.csv" and result.comparison is not None
    assert result.errors == tmp_path / "0.parquet"
    assert pq.read_table(result.errors).num_rows == result.error_rows > 0
    assert list((trainer.root / "jobs").rglob("*.parquet")) == []
    assert list((trainer.root / "jobs").rglob("rows-*")) == []


def test_a_checkpoint_outlives_its_dataset(trainer: Trainer, tmp_path: Path) -> None:
    rows = labelled({("a", "x"): "apple", ("b", "z"): "bike"}, "once")
    make_model(trainer, "gone", rows)
    trainer.delete_dataset("gone")
    file = write_rows(tmp_path / "rows.csv", [("apple", ("a", "x"))])
    result = evaluate(trainer, "gone", **on_file(file))
    assert result.rows == 1 and "are not known" in result.warnings[0]
    with pytest.raises(FailedPreconditionError, match="leave --unseen out"):
        evaluate(trainer, "gone", **on_file(file), unseen=True)
    with pytest.raises(NotFoundError, match="no dataset 'gone'"):
        evaluate(trainer, "gone")


def test_a_dataset_of_other_classes_is_evaluated_only_if_it_is_named(trainer: Trainer) -> None:
    make_model(trainer, "moved", labelled(OLD, "one"))
    source = write_rows(trainer.root.parent / "moved.csv", labelled(NEW, "two"))
    trainer.import_dataset(source, "moved", OPTIONS, replace=True)
    with pytest.raises(CheckpointError, match="--on moved"):
        evaluate(trainer, "moved")
    assert evaluate(trainer, "moved", on_dataset="moved").unknown.rows > 0


def test_a_spec_that_contradicts_itself_is_refused(trainer: Trainer, tmp_path: Path) -> None:
    file = str(write_rows(tmp_path / "rows.csv", [("apple", ("a", "x"))]))
    for fields, error, message in (
        ({"on_file": file}, InvalidArgumentError, "say how to read the file"),
        ({"file_options": OPTIONS.to_json()}, InvalidArgumentError, "name the file"),
        ({"on_dataset": "new", **on_file(Path(file))}, InvalidArgumentError, "in one way"),
        ({**on_file(Path("nowhere.csv"))}, NotFoundError, "no file nowhere.csv"),
        ({"on_dataset": "nothing"}, NotFoundError, "no dataset 'nothing'"),
        ({"file_options": {"text": ""}, "on_file": file}, InvalidArgumentError, "--text"),
    ):
        with pytest.raises(error, match=message):
            evaluate(trainer, "old", **fields)  # type: ignore[arg-type]
