"""A trainer and an exporter on one workspace, as other programs use them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import exporter.main
import trainer.main


class Services:
    """Both services, in processes of their own, and `ktt` as their client.

    Parameters
    ----------
    workspace : Path
    encoders : Path, optional
        A folder that the trainer may read encoders from.
    """

    def __init__(self, workspace: Path, encoders: Path | None = None) -> None:
        allowed = [] if encoders is None else ["--allowed-root", str(encoders)]
        self._ports = _free_port(), _free_port()
        programs: list[tuple[str, list[str]]] = [
            (trainer.main.__name__, allowed),
            (exporter.main.__name__, []),
        ]
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", program, "--workspace", str(workspace), *options]
                + ["--port", str(port), "--no-metrics"],
                env=_environment(),
                stderr=subprocess.DEVNULL,
            )
            for (program, options), port in zip(programs, self._ports, strict=True)
        ]
        for port in self._ports:
            _wait_for(port)

    def ktt(self, *arguments: object, code: int = 0) -> Any:
        """Run `ktt` as a client and return what it prints as JSON.

        Raises
        ------
        RuntimeError
            If its exit code is not `code`.
        """
        trainer_address, exporter_address = (f"localhost:{port}" for port in self._ports)
        addresses = ["--address", trainer_address, "--exporter-address", exporter_address]
        return ktt(*addresses, *arguments, code=code)

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """End both; with SIGKILL as a machine does that loses its power."""
        for process in self._processes:
            process.send_signal(signum)
        for process in self._processes:
            process.wait(timeout=60)


def ktt(*arguments: object, code: int = 0) -> Any:
    """Run `ktt` in a process of its own and return what it prints as JSON.

    Raises
    ------
    RuntimeError
        If its exit code is not `code`.
    """
    command = [sys.executable, "-m", "cli.main", *map(str, arguments), "--json"]
    done = subprocess.run(command, env=_environment(), capture_output=True, check=False)
    if done.returncode != code:
        raise RuntimeError(f"{arguments}: exit code {done.returncode}, {done.stderr.decode()}")
    return json.loads(done.stdout) if done.stdout else None


def _environment() -> dict[str, str]:
    """Return the environment of programs that find the code where this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("localhost", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nobody listens on port {port} after a minute")
