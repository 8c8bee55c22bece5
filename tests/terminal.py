"""A terminal for tests: a program on it, and somebody who types."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import sys
import time

__all__ = ["Terminal", "plain"]


class Terminal:
    """A program on a terminal of its own, and somebody who types.

    Parameters
    ----------
    command : list of str
        A program's path, and its arguments.
    **variables : str
        More of its environment.
    """

    def __init__(self, command: list[str], **variables: str) -> None:
        environment = {
            **os.environ,
            **variables,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "COLUMNS": "200",
        }
        # As on a terminal, Ctrl-C reaches all of the foreground at once.
        self._pid, self._file = pty.fork()
        if self._pid == 0:
            os.execve(command[0], command, {**environment, "TERM": "xterm"})
        self.shown = ""

    def wait_for(self, text: str, seconds: float = 30) -> None:
        """Read until a text has been shown after all that was read before."""
        begun, deadline = len(self.shown), time.monotonic() + seconds
        while text not in plain(self.shown[begun:]):
            assert time.monotonic() < deadline, self.shown[begun:]
            assert self._read(), f"it ended without {text!r}: {self.shown}"

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._file, text.encode())

    def end(self) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + 60
        while self._read():
            assert time.monotonic() < deadline, self.shown
        os.close(self._file)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def close(self) -> None:
        """Hang up, which ends the program, and wait for its end."""
        os.close(self._file)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _read(self) -> bool:
        if not select.select([self._file], [], [], 1)[0]:
            return True
        try:
            data = os.read(self._file, 65536)
        except OSError:
            return False  # Linux' way to say that nobody has the other end open
        self.shown += data.decode(errors="replace")
        return bool(data)


def plain(text: str) -> str:
    """Return a text without colours and movements."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
