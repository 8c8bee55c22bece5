"""A trainer and an exporter on one workspace, as other programs use them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import Server, environment


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
        self._trainer = Server("trainer", workspace, *allowed)
        self._exporter = Server("exporter", workspace)
        for server in (self._trainer, self._exporter):
            server.start()

    def ktt(self, *arguments: object, code: int = 0) -> Any:
        """Run `ktt` as a client and return what it prints as JSON.

        Raises
        ------
        RuntimeError
            If its exit code is not `code`.
        """
        addresses = ["--address", self._trainer.address]
        addresses += ["--exporter-address", self._exporter.address]
        return ktt(*addresses, *arguments, code=code)

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> None:
        """End both; with SIGKILL as a machine does that loses its power."""
        for server in (self._trainer, self._exporter):
            server.stop(signum)


def ktt(*arguments: object, code: int = 0) -> Any:
    """Run `ktt` in a process of its own and return what it prints as JSON.

    Raises
    ------
    RuntimeError
        If its exit code is not `code`.
    """
    command = [sys.executable, "-m", "cli.main", *map(str, arguments), "--json"]
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)
    if done.returncode != code:
        raise RuntimeError(f"{arguments}: exit code {done.returncode}, {done.stderr.decode()}")
    return json.loads(done.stdout) if done.stdout else None
