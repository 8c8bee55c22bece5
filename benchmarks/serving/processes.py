"""Servers in processes of their own, on free ports of 127.0.0.1, ended with what they started."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

__all__ = ["Server", "free_port", "own_program", "running"]

_START_SECONDS = 180.0
_STOP_SECONDS = 20.0


class Server:
    """A server that answers.

    Parameters
    ----------
    process : Popen
    port : int
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port

    @property
    def address(self) -> str:
        """Where it listens, "127.0.0.1:port"."""
        return f"127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Return the processor time that it and its children have used."""
        total = 0.0
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.process.pid)
            for process in [parent, *parent.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    times = process.cpu_times()
                    total += float(times.user + times.system)
        return total

    def memory_mb(self) -> float:
        """Return the memory that it and its children have for themselves, in MB."""
        parent = psutil.Process(self.process.pid)
        processes = [parent, *parent.children(recursive=True)]
        return float(sum(process.memory_full_info().uss for process in processes)) / 1e6


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody has."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def own_program(module: str) -> list[str]:
    """Return the command that runs a module of this benchmark, inside a PEX too."""
    path = json.dumps([str(entry) for entry in sys.path])
    start = (
        f"import json, sys; sys.path[:] = json.loads({path!r}); "
        f"from serving.{module} import main; main()"
    )
    return [sys.executable, "-P", "-c", start]


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    port: int,
    ready: str,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Server]:
    """Start a server, wait until an address of it answers, and end it on leaving.

    Parameters
    ----------
    command : sequence of str or Path
    log : Path
        Gets what it writes.
    port : int
        Where it is going to listen.
    ready : str
        A path that it answers with 200 once it is ready.
    environment : mapping, optional
        Variables beside those of this process.
    folder : Path, optional
        Where it runs.

    Raises
    ------
    RuntimeError
        If it ends, or does not answer in three minutes.
    """
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=stream,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            start_new_session=True,
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}{ready}", log)
        yield Server(process, port)
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{url}: the server ended with {process.returncode}:\n{_tail(log)}")
        with contextlib.suppress(OSError, urllib.error.URLError):
            with direct.open(url, timeout=5) as response:
                if response.status == 200:
                    return
        time.sleep(0.1)
    raise RuntimeError(f"{url}: no answer in {_START_SECONDS:.0f} s:\n{_tail(log)}")


def _end(process: subprocess.Popen[bytes]) -> None:
    # Its whole session: gunicorn's workers may outlive the process that was started.
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
