"""A service process of `ktt serve`, which ends with it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence

from ktt_core.subprocesses import end_with_parent

__all__ = ["ServiceProcess"]

# The path is this program's, which a PEX passes on in no other way, before anything else is
# imported (-P: not from the working directory).
_BOOTSTRAP = (
    "import sys; import json; request = json.loads(sys.stdin.buffer.readline()); "
    "sys.path[:] = request['path']; "
    "from cli.service_process import run_service; run_service(request)"
)


class ServiceProcess:
    """A started service.

    It leads a process group, so that Ctrl-C on the terminal reaches only its parent, which stops
    it. It stops in order if the parent dies, too.

    Parameters
    ----------
    name : str
        "trainer" or "exporter", whose package has a module ``main``.
    arguments : sequence of str
        Its command line.
    variables : mapping
        Additional environment variables.

    Raises
    ------
    OSError
        If no process can be started.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], variables: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        # Linux chooses a free name.
        self._news.bind("")
        self._news.setblocking(False)
        given = {**os.environ, **(variables or {})}
        given["NOTIFY_SOCKET"] = "@" + self._news.getsockname()[1:].decode()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOTSTRAP, *arguments],
                stdin=subprocess.PIPE,
                env=given,
                process_group=0,
            )
        except BaseException:
            self._news.close()
            raise
        request = {"path": [str(entry) for entry in sys.path], "name": name, "parent": os.getpid()}
        assert self._process.stdin is not None
        try:
            with self._process.stdin as pipe:
                pipe.write(json.dumps(request).encode() + b"\n")
        except BrokenPipeError:
            pass  # It has ended already; see its exit code.

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def address(self) -> str | None:
        """Return its address if it has reported it since the last call."""
        try:
            message = self._news.recv(4096).decode(errors="replace")
        except BlockingIOError:
            return None
        told = dict(line.partition("=")[::2] for line in message.splitlines())
        return told.get("STATUS") if told.get("READY") == "1" else None

    def fileno(self) -> int:
        """Return a file to wait on for an address."""
        return self._news.fileno()

    def send(self, signum: signal.Signals) -> None:
        """Send a signal to it if it runs."""
        self._process.send_signal(signum)

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._news.close()


def run_service(request: Mapping[str, object]) -> None:
    """Run the service of a request of `ktt serve`."""
    import importlib

    end_with_parent(signal.SIGTERM)
    if os.getppid() != request["parent"]:
        return  # The parent ended before that.
    # Further reads return the end of file.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    name = str(request["name"])
    importlib.import_module(f"{name}.main").main(prog_name=f"ktt serve: {name}")
