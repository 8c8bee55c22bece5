"""Where the encoder is missing and somebody sits there, it is asked whether to fetch it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conftest import Ktt
from terminal import Terminal, plain


@pytest.fixture
def terminal(ktt: Ktt, shop: str, workspace: Path, tmp_path: Path) -> Terminal:
    """Return a training on a terminal that has asked."""
    here = [sys.executable, "-m", "cli.main", "--workspace", str(workspace)]
    # Nothing is in the cache, and the hub is not asked.
    asked = Terminal(
        [*here, "train", shop, "-m", "db_linear"], HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1"
    )
    asked.wait_for("Fetch it now?", 120)
    return asked


def test_no_leaves_it_at_the_message(terminal: Terminal) -> None:
    terminal.type("\n")
    assert terminal.end() == 3
    assert "there is no encoder 'distilbert-base-uncased' here" in plain(terminal.shown)


def test_yes_fetches_it(terminal: Terminal) -> None:
    terminal.type("y\n")
    assert terminal.end() != 0
    assert "cannot be fetched from the hub" in " ".join(plain(terminal.shown).split())


def test_a_script_is_not_asked(ktt: Ktt, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", "/nowhere")
    done = ktt("train", shop, "-m", "db_linear")
    assert done.code == 3
    assert done.err.count("\n") == 1
    assert "--download" in done.err
    assert "Fetch it now" not in done.err
