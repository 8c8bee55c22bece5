"""Running a job in a process of its own, so that a crash or Ctrl-C harms nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

from ktt_core import errors
from ktt_core.errors import KttError, TrainingError
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from trainer.training import TrainingJob, TrainingOutcome

__all__ = ["RunFailedError", "run_in_process"]

# Nothing is imported by name before the path is the parent's: a json.py in the current folder stays
# where it is (-P).
_BOOTSTRAP = (
    "import json, sys; request = json.loads(sys.argv[1]); sys.path[:] = request['path']; "
    "from trainer.child import main; main(request)"
)
# A process that was told to stop, or is done, gets so long, in seconds, before it is killed.
_PATIENCE = 10.0


class RunFailedError(Exception):
    """A run failed.

    Attributes
    ----------
    error : KttError
        For the user.
    details : str
        The traceback of an unexpected error, or "".
    """

    def __init__(self, error: KttError, details: str = "") -> None:
        super().__init__(str(error))
        self.error = error
        self.details = details


def run_in_process(
    job: TrainingJob,
    progress: ProgressCallback = ignore_progress,
    started: Callable[[int], None] | None = None,
) -> TrainingOutcome:
    """Run a job in a new process, and wait for it.

    If this process is interrupted, or `progress` raises, the other one is stopped before the
    exception goes on.

    Parameters
    ----------
    job : TrainingJob
    progress : callable
        Called with the run's `Progress`.
    started : callable, optional
        Called with the new process's id.

    Raises
    ------
    RunFailedError
        If the run raised an error or died.
    """
    reader, writer = os.pipe()
    request = {"path": [str(entry) for entry in sys.path], "job": job.to_json(), "events": writer}
    try:
        process = _start(json.dumps(request), writer)
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    with process, os.fdopen(reader, encoding="utf-8") as events:
        try:
            if started is not None:
                started(process.pid)
            final = _follow(events, progress)
            code = _end(process)
        except BaseException:
            _stop(process)
            raise
    if final is None:
        raise RunFailedError(_death(code))
    if "metrics" not in final:
        raise RunFailedError(_rebuild(final), final["details"])
    return TrainingOutcome(final["metrics"])


def _start(request: str, writer: int) -> subprocess.Popen[bytes]:
    # A terminal sends Ctrl-C to both processes. The child inherits a mask that holds it back, from
    # its first instruction on, and leaves it to this process to end both in order.
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOTSTRAP, request],
            # Nothing is written to it: the child ends when it closes, which is when this process is
            # gone.
            stdin=subprocess.PIPE,
            stdout=sys.__stderr__.fileno() if sys.__stderr__ else subprocess.DEVNULL,
            pass_fds=[writer],
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def _follow(events: IO[str], progress: ProgressCallback) -> dict[str, Any] | None:
    """Hand progress on until the last event; None if the process died without one."""
    for line in events:
        if not line.endswith("\n"):
            break  # it died in the middle of a line
        event: dict[str, Any] = json.loads(line)
        if event.pop("event") != "progress":
            return event
        progress(Progress(**event))
    return None


def _end(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    _end(process)


def _death(code: int) -> TrainingError:
    if code >= 0:
        return TrainingError(f"the run's process ended with exit code {code} before it was done")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ""
    if -code == signal.SIGKILL:
        hint = " (the system does that when memory runs out)"
    elif -code in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT):
        hint = " (a crash inside compiled code)"
    return TrainingError(f"the run's process was killed by {name}{hint}")


def _rebuild(event: Mapping[str, Any]) -> KttError:
    """Return the error that the other process raised."""
    kind = getattr(errors, event["type"], None)
    if not (isinstance(kind, type) and issubclass(kind, KttError)):
        kind = TrainingError
    return kind(event["message"])
