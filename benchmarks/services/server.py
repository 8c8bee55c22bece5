"""A trainer in a process of its own, with its memory under watch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil

__all__ = ["TrainerProcess", "trainer"]

# By name and with this process's path, so that it runs the same inside a PEX.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from trainer.main import main; main()"
)


class TrainerProcess:
    """A running trainer.

    Attributes
    ----------
    address : str
        "127.0.0.1:port".
    """

    def __init__(self, process: subprocess.Popen[bytes], address: str) -> None:
        self.address = address
        self._process = psutil.Process(process.pid)

    def memory_mb(self) -> float:
        """Return the resident memory of the server alone, without its workers, in MB."""
        return float(self._process.memory_info().rss) / 1e6

    def cpu_seconds(self) -> float:
        """Return the processor time the server alone has used."""
        times = self._process.cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def trainer(workspace: Path, log: Path, *, queue_limit: int) -> Iterator[TrainerProcess]:
    """Start a trainer that takes plain text on a free loopback port, and stop it at the end.

    Raises
    ------
    RuntimeError
        If it does not answer in a minute, or does not end well.
    """
    port, metrics_port = _free_port(), _free_port()
    arguments = ["--workspace", str(workspace), "--port", str(port)]
    arguments += ["--metrics-port", str(metrics_port), "--queue-limit", str(queue_limit)]
    arguments += ["--rate-limit", "0"]
    path = json.dumps([str(entry) for entry in sys.path])
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, path, *arguments],
            stderr=stream,
            stdout=stream,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            address = f"127.0.0.1:{port}"
            _wait(process, address, log)
            yield TrainerProcess(process, address)
            process.send_signal(signal.SIGTERM)
            if (code := process.wait(60)) != 0:
                raise RuntimeError(f"the trainer ended with {code}:\n{_tail(log)}")
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    with grpc.insecure_channel(address) as channel:
        ready = grpc.channel_ready_future(channel)
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"the trainer ended with {process.returncode}:\n{_tail(log)}")
            with contextlib.suppress(grpc.FutureTimeoutError):
                ready.result(timeout=0.5)
                return
    raise RuntimeError(f"the trainer did not answer in a minute:\n{_tail(log)}")


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
