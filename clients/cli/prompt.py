"""A question on a terminal, which never misses a Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import TypeVar

from cli.printing import echo

__all__ = ["ask"]

Answer = TypeVar("Answer")


def ask(question: str, answers: Mapping[str, Answer], default: str) -> Answer:
    """Ask until one of some answers is given, and return what it stands for.

    Parameters
    ----------
    question : str
        Shown on standard error.
    answers : mapping
        From what may be typed, in lower case, to what it stands for.
    default : str
        What an empty line stands for, one of the answers.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C comes, or the input ends.
    """
    while True:
        echo(f"{question} [{default}]: ", nl=False, err=True)
        line = _read_line()
        if not line:
            raise KeyboardInterrupt
        answer = line.strip().lower() or default
        if answer in answers:
            return answers[answer]
        echo(f"{answer!r} is none of: {', '.join(answers)}", err=True)


def _read_line() -> str:
    # A signal that comes just before a read begins is only seen when the read ends: so wait on the
    # signals too.
    with _signals() as woken:
        select.select([sys.stdin, woken], [], [])
        return sys.stdin.readline()


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """Yield a file that can be read from when a signal has come."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)
