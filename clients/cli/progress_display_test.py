"""What a person sees of a training: one line or bar a phase, and what each validation came to."""

from __future__ import annotations

import re
import time

import pytest

from cli.progress_display import (
    LONGEST_SILENCE,
    ProgressDisplay,
    show_duration,
    show_figures,
)
from ktt_core.progress import Progress

FIGURES = {"loss": 0.69314, "learning_rate": 2e-5, "texts_per_second": 1234.5}


def training(display: ProgressDisplay) -> None:
    """Show a training of two epochs, each with its validation, and a test."""
    display.show(Progress("fit", 0, 4, "steps"))
    for step in (1, 2, 3, 4):
        display.show(Progress("fit", step, 4, "steps", FIGURES))
        if step % 2 == 0:
            display.show(Progress("validate", 5, 10, "rows"))
            metrics = {"loss": 0.5 / step, "hierarchical_f1": 0.9, "auprc_micro": 0.8}
            display.show(Progress("validate", 10, 10, "rows", metrics))
    display.show(Progress("test", 10, 10, "rows"))


def test_without_a_terminal_every_phase_is_told_once_and_every_validation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ProgressDisplay("db_linear on shop") as display:
        training(display)
    assert capsys.readouterr().err.splitlines() == [
        "db_linear on shop: fit ...",
        "db_linear on shop: validate ...",
        "db_linear on shop: validated after 2 of 4 steps: loss 0.2500  hF1 0.9000",
        "db_linear on shop: validated after 4 of 4 steps: loss 0.1250  hF1 0.9000",
        "db_linear on shop: test ...",
    ]


def test_a_terminal_has_a_bar_with_figures_and_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "COLUMNS": "200", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    with ProgressDisplay("db_linear on shop") as display:
        training(display)
    shown = capsys.readouterr().err
    assert "loss 0.6931  lr 2.0e-05  1,234 texts/s" in shown
    assert "validated after 2 of 4 steps" in shown
    # One bar goes on through both epochs, and that of the first validation has gone.
    screen = shown.rpartition("\x1b[2K")[2]
    assert screen.count("4/4") == 1 and screen.count("10/10") == 2


def test_another_run_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay() as display:
        for title in ("one", "two"):
            display.retitle(title)
            display.show(Progress("fit", 1, 2))
    assert capsys.readouterr().err.splitlines() == ["one: fit ...", "two: fit ..."]


def lines_of(capsys: pytest.CaptureFixture[str], wanted: int) -> list[str]:
    """Return the lines that are said, once there are so many."""
    found: list[str] = []
    end = time.monotonic() + 30
    while len(found) < wanted:
        assert time.monotonic() < end, found
        time.sleep(0.01)
        found += capsys.readouterr().err.splitlines()
    return found


def test_a_log_hears_how_far_a_long_phase_is_though_nothing_happens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ProgressDisplay("db_linear on shop", silence=0.02) as display:
        # Before the first event, too: a queue, or a program that starts.
        assert lines_of(capsys, 2)[0] == "db_linear on shop: working, 0:00 so far"
        display.show(Progress("fit", 0, 5000, "steps"))
        display.show(Progress("fit", 1200, 5000, "steps", FIGURES))
        said = lines_of(capsys, 3)
        assert any(
            re.fullmatch(
                r"db_linear on shop: fit 1,200 of 5,000 steps, \d+:\d\d left  loss 0.6931  .*", line
            )
            for line in said
        )
        display.show(Progress("pack"))
        assert "db_linear on shop: pack, 0:00 so far" in lines_of(capsys, 4)
        display.show(Progress("read", 70_000, None, "rows"))
        assert "db_linear on shop: read 70,000 rows, 0:00 so far" in lines_of(capsys, 4)
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_who_has_just_said_something_does_not_say_it_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert LONGEST_SILENCE < 30
    with ProgressDisplay("x") as display:
        for step in range(200):
            display.show(Progress("fit", step, 200))
        time.sleep(0.05)
    assert capsys.readouterr().err.splitlines() == ["x: fit ..."]


def test_cut_texts_are_told_in_a_line_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    cut = {"texts_cut": 1.0, "tokens_cut": 0.471, "wanted_max_len": 128.0}
    with ProgressDisplay("db_linear on shop") as display:
        display.show(Progress("tokenize", 9, 9, "rows"))
        display.show(Progress("tokenize", 9, 9, "rows", cut))
        display.show(Progress("fit", 0, 4, "steps"))
    assert capsys.readouterr().err.splitlines() == [
        "db_linear on shop: tokenize ...",
        "db_linear on shop: 100.0% of the texts are cut, 47.1% of all tokens "
        "(--set max_len=128 reads more)",
        "db_linear on shop: fit ...",
    ]


def test_cut_characters_are_told_with_the_setting_of_tf_idf_models(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cut = {"texts_cut": 0.5, "characters_cut": 0.25, "wanted_max_chars": 262144.0}
    with ProgressDisplay("tfidf_hsgd on shop") as display:
        display.show(Progress("lengths", 9, 9, "rows", cut))
    assert capsys.readouterr().err.splitlines() == [
        "tfidf_hsgd on shop: 50.0% of the texts are cut, 25.0% of all characters "
        "(--set max_chars=262144 reads more)",
    ]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay("x", quiet=True) as display:
        training(display)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.4, "0:00"), (42, "0:42"), (119.6, "2:00"), (4020, "1:07:00")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert show_duration(seconds) == shown


def test_the_loss_comes_first_and_metrics_are_in_the_order_of_the_documentation() -> None:
    figures = {"loss": 0.5, "hierarchical_f1": 0.91, "leaf_accuracy": 0.9}
    assert show_figures(figures) == "loss 0.5000  leaf accuracy 0.9000  hF1 0.9100"
