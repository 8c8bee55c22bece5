"""A question on a terminal, as somebody who types sees it."""

from __future__ import annotations

import os
import pty
import sys

import pytest

CODE = """
from cli.prompt import ask
try:
    print("got", ask("which?", {"a": 1, "b": 2}, "a"))
except KeyboardInterrupt:
    print("interrupted")
"""


def type_at_the_question(*keys: str) -> str:
    """Return what the terminal has shown at the end; each time that it asks, keys are pressed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process, terminal = pty.fork()
    if process == 0:
        os.execve(sys.executable, [sys.executable, "-c", CODE], environment)
    shown, left = "", list(keys)
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:
            break  # Linux' way to say that nobody has the other end open
        shown += data.decode()
        if left and shown.count("[a]: ") == len(keys) - len(left) + 1:
            os.write(terminal, left.pop(0).encode())
    os.close(terminal)
    os.waitpid(process, 0)
    return shown


@pytest.mark.parametrize(
    ("keys", "end"),
    [
        (["b\n"], "got 2"),
        (["B \n"], "got 2"),
        (["\n"], "got 1"),
        (["c\n", "b\n"], "got 2"),
        (["\x04"], "interrupted"),
    ],
)
def test_it_asks_until_it_is_answered(keys: list[str], end: str) -> None:
    shown = type_at_the_question(*keys)
    assert shown.strip().endswith(end), shown
    assert shown.count("which?") == len(keys)


@pytest.mark.parametrize("attempt", range(10))
def test_a_ctrl_c_at_once_is_not_missed(attempt: int) -> None:
    assert type_at_the_question("\x03").strip().endswith("interrupted")
