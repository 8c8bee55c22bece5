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
    """Ask until a valid answer is given, and return its meaning.

    Parameters
    ----------
    question : str
        Shown on standard error.
    answers : mapping
        Maps valid inputs, in lower case, to their meanings.
    default : str
        Answer for an empty line.

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
    # A signal just before a read would be handled only after it, so wait for signals, too.
    with _signals() as woken:
        select.select([sys.stdin, woken], [], [])
        return sys.stdin.readline()


@contextlib.contextmanager
def _signals() -> Iterator[int]:
    """Yield a file that becomes readable at a signal."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)
