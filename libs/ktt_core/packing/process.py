"""Running a program that must not outlive who started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

__all__ = ["Ended", "run_program"]

_MAX_OUTPUT = 1024**2

# Linux kills what a killed process has started only if it was asked to, by the process itself, on
# its way to become the program. 1 is PR_SET_PDEATHSIG.
_UNTIL_PARENT_ENDS = """
import ctypes, errno, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    os._exit(1)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    print(f"{sys.argv[2]} cannot be run: {error.strerror}", file=sys.stderr)
    sys.exit(127 if error.errno == errno.ENOENT else 126)
"""


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
    started = [sys.executable, "-I", "-S", "-c", _UNTIL_PARENT_ENDS, str(os.getpid())]
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
