"""A service as `ktt serve` starts it: a process of its own, which ends with `ktt`."""

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

# The module is looked for where this program's are, which in a PEX nothing else says; only then is
# anything imported by name (-P: the current folder is no place for modules).
_BOOTSTRAP = (
    "import sys; import json; request = json.loads(sys.stdin.buffer.readline()); "
    "sys.path[:] = request['path']; "
    "from cli.service_process import run_service; run_service(request)"
)


class ServiceProcess:
    """A service that was started.

    It leads a process group: Ctrl-C on the terminal reaches the one who started it alone, who says
    when it ends. It ends, in order, when that one is gone too.

    Parameters
    ----------
    name : str
        "trainer" or "exporter", whose package has a module ``main``.
    arguments : sequence of str
        Its command line.
    variables : mapping
        More of its environment.

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
        # Linux chooses a name that is free.
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
            pass  # It has ended already, and its exit code says how.

    @property
    def exit_code(self) -> int | None:
        """The code with which it has ended, negative for a signal; None while it runs."""
        return self._process.poll()

    def address(self) -> str | None:
        """Return where it takes calls if it has said so since the last look."""
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
        """Send it a signal, if it runs."""
        self._process.send_signal(signum)

    def close(self) -> None:
        """Make sure that it is gone."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._news.close()


def run_service(request: Mapping[str, object]) -> None:
    """Be the service that `ktt serve` has started."""
    import importlib

    end_with_parent(signal.SIGTERM)
    if os.getppid() != request["parent"]:
        return  # It was gone before that.
    # What is read from here on is nothing, at once.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    name = str(request["name"])
    importlib.import_module(f"{name}.main").main(prog_name=f"ktt serve: {name}")
