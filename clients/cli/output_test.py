"""Tables fit where they can, and what must be copied stays in one piece."""

from __future__ import annotations

import os
import pty
import re

import pytest

from cli.output import print_table

ID = "6b042a31-0945-440a-a070-eb630f572fbe"


def on_terminal(width: int, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what is printed on a terminal of a width."""
    reader, writer = pty.openpty()
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    with os.fdopen(writer, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        print_table(*arguments)  # type: ignore[arg-type]
        monkeypatch.undo()
    shown = b""
    try:
        while data := os.read(reader, 65536):
            shown += data
    except OSError:
        pass  # Linux' way to say that the other end is closed
    os.close(reader)
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode().replace("\r\n", "\n"))


def test_names_and_figures_stay_whole_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = ["job", "hierarchical_f1>", "made (UTC)"]
    rows = [(ID, "0.9731", "2026-01-31 12:34:56")]
    shown = on_terminal(40, columns, rows, monkeypatch=monkeypatch)
    assert shown.count("\n") == 2
    assert ID in shown
    assert "hierarchical_f1" in shown


def test_long_texts_are_broken_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    meaning = "how many words a text may have before the rest of it is left out of account"
    shown = on_terminal(60, ["name", "meaning"], [("max_len", meaning)], monkeypatch=monkeypatch)
    assert all(len(line) <= 60 for line in shown.splitlines())
    assert " ".join(shown.split()).endswith(f"max_len {meaning}")


def test_in_a_pipe_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "meaning"], [("[red]", "word " * 100), ("ボール", "x")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["name", "[red]", "ボール"]


def test_a_table_without_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "size>"], [])
    assert capsys.readouterr().out.split() == ["name", "size"]
