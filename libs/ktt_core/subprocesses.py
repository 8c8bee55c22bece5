"""Programs that must not outlive who started them.

This module imports nothing but the standard library: it is also a program of its own, which
`run_program` puts before the one that it runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = ["Ended", "end_with_parent", "run_program", "watch_parent"]

_MAX_OUTPUT = 1024**2
# From <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1


def end_with_parent(signum: signal.Signals = signal.SIGKILL) -> None:
    """Let the system send this process a signal when the one that started it ends, on Linux.

    It comes at once, even while compiled code runs. Elsewhere nothing happens, hence
    `watch_parent`. A parent that has ended before is not noticed: compare `os.getppid`.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signum)


def watch_parent(
    ended: Callable[[], None], told: Callable[[bytes], None] = lambda data: None
) -> None:
    """Read the standard input, whose other end the parent keeps open, in a thread of its own.

    Parameters
    ----------
    ended : callable
        Called when it ends, and so the parent has.
    told : callable
        Called with what comes before, a few bytes or more. What a buffered reader has taken already
        does not come.
    """

    def watch() -> None:
        # No buffered reader: the end of the interpreter would wait for its lock.
        while data := os.read(0, 4096):
            told(data)
        ended()

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes
    ----------
    code : int
        Its exit code, or the negative of the signal that killed it. One that cannot be run has a
        shell's code for that, 126 or 127, as has a program whose interpreter `env` does not find.
    output : str
        The last of what it wrote to its standard output.
    """

    code: int
    output: str

    @property
    def could_not_run(self) -> bool:
        """Whether the program, or its interpreter, is not there or is none."""
        return self.code in (126, 127)

    @property
    def killed_by(self) -> str:
        """The signal's name; empty if it ended by itself."""
        if self.code >= 0:
            return ""
        with contextlib.suppress(ValueError):
            return signal.Signals(-self.code).name
        return f"signal {-self.code}"


def run_program(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    folder: Path,
    *,
    errors_too: bool = False,
) -> Ended:
    """Run a program to its end; it and what it starts end with this process, or this call.

    Whatever interrupts the call ends the program first.

    Parameters
    ----------
    command : sequence of str or Path
    environment : mapping of str to str
    folder : Path
        Where it runs.
    errors_too : bool
        Take its standard error as output. Otherwise that goes where this process's goes.

    Raises
    ------
    OSError
        If no process can be started.
    """
    started = [sys.executable, "-I", "-S", __file__, str(os.getpid())]
    # A file, not a pipe, whose end might stay open in what the program has started.
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*started, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output if errors_too else None,
            env=dict(environment),
            cwd=folder,
            process_group=0,
        )
        try:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            # It is not waited for yet, so its number is still that of its group.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        return Ended(code, _end_of(output))


def _end_of(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _MAX_OUTPUT))
    return file.read().decode(errors="replace")


def _become(parent: int, command: list[str]) -> None:
    """Become a program that ends with `parent`.

    A process has to ask for that itself, on its way to become the program.
    """
    end_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]} cannot be run: {error.strerror}", file=sys.stderr)
        sys.exit(127 if error.errno == errno.ENOENT else 126)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
