"""The parent's side of a worker: the process of one attempt at a job."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktt_jobs.jobs import JobError
from ktt_jobs.logs import BoundedLog

__all__ = ["Worker", "describe_death"]

# The path is the parent's before anything else is imported: -P ignores a json.py in the working
# directory.
_BOOTSTRAP = (
    "import sys; import json; request = json.loads(sys.stdin.buffer.readline()); "
    "sys.path[:] = request['path']; from ktt_jobs.child import main; main(request)"
)
_CHUNK = 1 << 16


class Worker:
    """Starts a worker process and receives its events, in the thread that created this object.

    The process ends with this process, and with this thread.

    Parameters
    ----------
    request : mapping
        "task", "spec", "job_id", "attempt" and "folder", as `ktt_jobs.child.main` takes them.
    lock : int
        The descriptor of the job's lock, which the process holds too.
    log : Path
        File for its standard output and error.

    Raises
    ------
    OSError
        If no process can be started.
    """

    def __init__(self, request: Mapping[str, Any], lock: int, log: Path) -> None:
        self._log = BoundedLog(log)
        self._partial = b""
        events, events_end = os.pipe()
        output, output_end = os.pipe()
        whole = {
            **request,
            "path": [str(entry) for entry in sys.path],
            "events": events_end,
            "lock": lock,
        }
        try:
            self._process = _start([events_end, lock], output_end)
        except BaseException:
            os.close(events)
            os.close(output)
            self._log.close()
            raise
        finally:
            os.close(events_end)
            os.close(output_end)
        self._selector = selectors.DefaultSelector()
        for descriptor in (events, output):
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._events, self._output = events, output
        try:
            assert self._process.stdin is not None
            # It stays open: when it is closed, the worker knows that this process is gone.
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(whole).encode() + b"\n")
                self._process.stdin.flush()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def read(self, timeout: float) -> list[dict[str, Any]]:
        """Wait for events at most `timeout` seconds, and return them."""
        if not self._selector.get_map():
            # Both pipes are closed; the process is about to end.
            time.sleep(min(timeout, 0.02))
            return []
        return self._receive(timeout)

    @property
    def ended(self) -> bool:
        """Whether the process has ended; it is not reaped yet, so that its id is not reused."""
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def terminate(self) -> None:
        """Ask the process to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process and its children, without reaping it."""
        # The id of a group is not reused until its last member has ended and its leader is reaped.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._send(signal.SIGKILL)

    def stop(self, patience: float) -> None:
        """Ask the process to end and wait for it, at most `patience` seconds."""
        self.terminate()
        deadline = time.monotonic() + patience
        while not self.ended and time.monotonic() < deadline:
            self.read(0.05)

    def drain(self) -> list[dict[str, Any]]:
        """Return the remaining events of an ended process."""
        events: list[dict[str, Any]] = []
        while self._selector.get_map():
            if not self._selector.select(0):
                break  # a process that it started still holds the other end
            events += self._receive(0)
        return events

    def tail(self) -> tuple[str, ...]:
        """Return the last lines of the log."""
        return self._log.tail()

    def close(self) -> int:
        """Kill and reap the process; return its exit code."""
        self.kill()
        code = self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._selector.close()
        os.close(self._events)
        os.close(self._output)
        self._log.close()
        return code

    def _send(self, number: int) -> None:
        # Not by `Popen`, which reaps an ended process first.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    def _receive(self, timeout: float) -> list[dict[str, Any]]:
        events = []
        for key, _ in self._selector.select(timeout):
            chunk = os.read(key.fd, _CHUNK)
            if not chunk:
                self._selector.unregister(key.fd)
            elif key.fd == self._output:
                self._log.write(chunk)
            else:
                # An incomplete last line is never parsed.
                *lines, self._partial = (self._partial + chunk).split(b"\n")
                events += [json.loads(line) for line in lines]
        return events


def _start(descriptors: list[int], output: int) -> subprocess.Popen[bytes]:
    # A terminal sends Ctrl-C to both processes. The child inherits a mask that blocks it, so that
    # this process ends both in order.
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-u", "-c", _BOOTSTRAP],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=descriptors,
            # Its children can be killed with it.
            process_group=0,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def describe_death(code: int, tail: tuple[str, ...], memory_advice: str) -> JobError:
    """Return the error for a process that ended without a result.

    Parameters
    ----------
    code : int
        Its exit code, or the negative of the signal that killed it.
    tail : tuple of str
        The last lines of its log.
    memory_advice : str
        Advice if memory ran out.
    """
    if code >= 0:
        message = f"the job's process ended with exit code {code} before it was done"
        return JobError("WorkerDied", message, exit_code=code, log_tail=tail)
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ""
    if -code == signal.SIGKILL:
        hint = f" (the system does that when memory runs out: {memory_advice}, or give it more)"
    elif -code in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGABRT):
        hint = " (a crash inside compiled code)"
    message = f"the job's process was killed by {name}{hint}"
    return JobError("WorkerDied", message, signal=name, log_tail=tail)
