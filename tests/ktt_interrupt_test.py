"""Ctrl-C on a terminal while jobs run at a trainer: detach, cancel, or watch on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Server, rows, running
from terminal import Terminal, plain

CTRL_C = "\x03"
QUESTION = "etach and leave running"


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("interrupted")
    source = folder / "shop.csv"
    lines = ["title,category", *(f"{text},{' > '.join(path)}" for text, path in rows())]
    source.write_text("\n".join(lines) + "\n")
    server = Server("trainer", folder / "workspace")
    with running(server):
        columns = ("--text", "title", "--classes", "category", "--sep", " > ")
        ktt(server, "data", "import", str(source), "shop", *columns)
        yield server


def command(server: Server, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", "--address", server.address, *arguments]


def ktt(server: Server, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        command(server, *arguments), env=environment, check=True, capture_output=True, text=True
    ).stdout


def jobs(server: Server, count: int) -> list[Any]:
    return list(json.loads(ktt(server, "jobs", "list", "-n", str(count), "--json")))


@pytest.fixture
def training(trainer: Server) -> Terminal:
    """Return a training of two models that would take long, on a terminal, at its first epochs."""
    terminal = Terminal(
        command(trainer, "train", "shop", "-m", "tfidf_hsgd,tfidf_lsgd", "-e", "10000")
    )
    terminal.wait_for("fit")
    return terminal


@pytest.fixture(autouse=True)
def _nothing_goes_on(trainer: Server) -> Iterator[None]:
    yield
    left = [job["id"] for job in jobs(trainer, 5) if job["state"] in ("QUEUED", "RUNNING")]
    if left:
        ktt(trainer, "jobs", "cancel", *left)


def test_detaching_leaves_the_jobs_running(trainer: Server, training: Terminal) -> None:
    training.type(CTRL_C)
    training.wait_for(QUESTION)
    training.type("d\n")
    assert training.end() == 0
    newest = jobs(trainer, 2)
    assert {job["state"] for job in newest} <= {"QUEUED", "RUNNING"}
    assert all(job["id"] in training.shown for job in newest)
    assert "ktt jobs watch" in training.shown


def test_a_second_ctrl_c_detaches(trainer: Server, training: Terminal) -> None:
    training.type(CTRL_C)
    training.wait_for(QUESTION)
    training.type(CTRL_C)
    assert training.end() == 0
    assert {job["state"] for job in jobs(trainer, 2)} <= {"QUEUED", "RUNNING"}


def test_cancelling_ends_the_jobs(trainer: Server, training: Terminal) -> None:
    training.type(CTRL_C)
    training.wait_for(QUESTION)
    training.type("c\n")
    assert training.end() == 130
    assert {job["state"] for job in jobs(trainer, 2)} == {"CANCELLED"}
    assert "cancelled at the server" in plain(training.shown)


def test_watching_on_goes_on(trainer: Server, training: Terminal) -> None:
    training.type(CTRL_C)
    training.wait_for(QUESTION)
    training.type("x\n")
    training.wait_for(QUESTION)
    training.type("w\n")
    training.wait_for("fit")
    assert jobs(trainer, 2)[1]["state"] == "RUNNING"
    training.type(CTRL_C)
    training.wait_for(QUESTION)
    training.type("c\n")
    assert training.end() == 130


def test_training_in_this_process_is_ended_without_a_question(tmp_path: Path) -> None:
    source = tmp_path / "shop.csv"
    lines = ["title,category", *(f"{text},{' > '.join(path)}" for text, path in rows())]
    source.write_text("\n".join(lines) + "\n")
    here = [sys.executable, "-m", "cli.main", "--workspace", str(tmp_path / "workspace")]
    columns = ["--text", "title", "--classes", "category", "--sep", " > "]
    terminal = Terminal([*here, "data", "import", str(source), "shop", *columns])
    assert terminal.end() == 0
    terminal = Terminal([*here, "train", "shop", "-m", "tfidf_hsgd", "-e", "10000"])
    terminal.wait_for("fit")
    terminal.type(CTRL_C)
    assert terminal.end() == 130
    assert QUESTION not in plain(terminal.shown)
    assert not list((tmp_path / "workspace").rglob("best_*"))
