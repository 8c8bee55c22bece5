"""Texts that are longer than a model reads: everything that is made of the run says so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ktt_core.datasets.options import ImportOptions
from ktt_core.progress import Progress
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder
from trainer import RunEvent, Trainer, TrainRequest


@pytest.fixture
def trainer(tmp_path: Path) -> Trainer:
    """Return a trainer with texts of 41 words, the last of which decides, and an encoder."""
    texts = [f"{'word ' * 40}{'red' if row % 2 else 'blue'}" for row in range(60)]
    source = tmp_path / "long.jsonl"
    rows = [{"text": f"{row} {text}", "labels": [text[-3:]]} for row, text in enumerate(texts)]
    source.write_text("\n".join(map(json.dumps, rows)))
    trainer = Trainer(tmp_path / "workspace")
    trainer.import_dataset(source, "long", ImportOptions("text", "labels"))
    write_tiny_encoder(tmp_path / "encoder", texts)
    return trainer


def request(trainer: Trainer, max_len: int) -> TrainRequest:
    encoder = str(trainer.root.parent / "encoder")
    values = {"encoder": encoder, "max_len": max_len, "epochs": 1}
    return TrainRequest(("long",), ("db_linear",), values)


def test_what_is_cut_is_told_in_training_in_the_report_and_by_evaluation(trainer: Trainer) -> None:
    events: list[Progress] = []

    def watch(event: RunEvent) -> None:
        if event.progress is not None:
            events.append(event.progress)

    (result,) = trainer.train(request(trainer, 16), watch)
    assert result.error is None
    for split in ("train", "val", "test"):
        assert result.metrics[split]["texts_cut"] == 1.0
        assert 0.5 < result.metrics[split]["tokens_cut"] < 0.8
    (warning,) = result.warnings
    assert warning.startswith("100.0% of the training texts are longer than the 16 tokens")
    assert warning.endswith("train again with --set max_len=64")
    told = next(number for number, event in enumerate(events) if "texts_cut" in event.metrics)
    assert told < next(number for number, event in enumerate(events) if event.phase == "fit")
    assert events[told].metrics["wanted_max_len"] == 64
    assert result.report is not None
    page = result.report.read_text()
    assert "100.0% of the training texts are longer" in page
    data = re.search(r'id="report-data">(.*?)</script>', page)
    assert data and json.loads(data[1])["metrics"]["train"]["texts_cut"] == 1.0
    (evaluation,) = trainer.evaluate("long", ("db_linear",))
    assert evaluation.metrics["texts_cut"] == 1.0
    assert any("of the texts are longer" in warning for warning in evaluation.warnings)


def test_texts_that_are_read_whole_are_no_matter(trainer: Trainer) -> None:
    (result,) = trainer.train(request(trainer, 64))
    assert result.metrics["train"] == {"texts_cut": 0.0, "tokens_cut": 0.0}
    assert result.warnings == ()
    assert (
        result.report is not None and "training texts are longer" not in result.report.read_text()
    )


def test_characters_that_a_tf_idf_model_does_not_read_are_told_too(trainer: Trainer) -> None:
    (result,) = trainer.train(TrainRequest(("long",), ("tfidf_lsgd",), {"max_chars": 100}))
    assert result.error is None
    for split in ("train", "val", "test"):
        assert result.metrics[split]["texts_cut"] == 1.0
        assert 0.4 < result.metrics[split]["characters_cut"] < 0.6
    (warning,) = result.warnings
    assert warning.startswith("100.0% of the training texts are longer than the 100 characters")
    assert warning.endswith("train again with --set max_chars=256")
    assert result.report is not None and warning[:40] in result.report.read_text()
    (evaluation,) = trainer.evaluate("long", ("tfidf_lsgd",))
    assert evaluation.metrics["texts_cut"] == 1.0
    (whole,) = trainer.train(TrainRequest(("long",), ("tfidf_lsgd",), {}))
    assert set(whole.metrics) == {"val", "test"} and "texts_cut" not in whole.metrics["test"]
