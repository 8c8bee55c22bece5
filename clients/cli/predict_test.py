"""How far the answers to a file are, told on standard error; the answers stay what they are."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from cli import predict as predict_module
from cli.predict import predict_command
from cli.text_lines import TextLines
from ktt_core.decoding import Prediction


class Backend:
    """Answers every text, slowly if it has to."""

    pause = 0.0

    def predict(
        self, dataset: str, model: str, texts: Iterable[str], *options: Any
    ) -> Iterator[list[Prediction]]:
        for _ in texts:
            time.sleep(self.pause)
            yield [Prediction(("Sport", "Shoes"), 0.9, (0, 0))]


def predict(file: Path | str, *options: str) -> Any:
    session = SimpleNamespace(backend=Backend(), connection=None)
    arguments = ["shop", "-m", "tfidf_hsgd", "-f", str(file), *options]
    return CliRunner().invoke(predict_command, arguments, obj=session, catch_exceptions=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(f"text {number}" for number in range(30)))
    return path


def test_a_file_that_takes_long_is_told_of_with_the_time_left(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict_module, "_UNTOLD_SECONDS", 0.0)
    monkeypatch.setattr(predict_module, "_TOLD_SECONDS", 0.0)
    monkeypatch.setattr(
        "cli.progress_display.ProgressDisplay.__init__.__defaults__", ("", False, 0.02)
    )
    monkeypatch.setattr(Backend, "pause", 0.01)
    done = predict(file)
    assert done.stdout.count("Sport > Shoes") == 30
    assert "tfidf_hsgd on shop: predict ..." in done.stderr
    assert " of 30 texts, 0:00 left" in done.stderr


def test_what_is_answered_at_once_and_what_is_for_a_program_has_no_progress(file: Path) -> None:
    assert predict(file).stderr == ""
    assert predict(file, "--json").stderr == ""


def test_lines_are_counted_as_they_are_read(tmp_path: Path) -> None:
    for content, lines in ((b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"\n\n", 2)):
        (tmp_path / "f").write_bytes(content)
        assert TextLines(tmp_path / "f").count() == lines
    assert TextLines(None).count() is None
