"""`ktt serve`: two services in one program, which begin and end together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import Ktt, environment, free_port
from ktt_test import children_of, is_running

READY = "use them with"


class Serving:
    """A `ktt serve` that was started."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.workspace = folder / "workspace"
        self.trainer, self.exporter = free_port(), free_port()
        self._log = folder / "serve.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", "--workspace", str(self.workspace), "serve"]
                + ["--port", str(self.trainer), "--exporter-port", str(self.exporter)]
                + ["--no-metrics", *options],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_until_ready(self) -> dict[str, int]:
        """Return the process of each service, once both take calls."""
        deadline = time.monotonic() + 60
        while READY not in self.log:
            assert time.monotonic() < deadline and self.process.poll() is None, self.log
            time.sleep(0.05)
        services = {}
        for child in children_of(self.process.pid):
            words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            port = int(words[words.index("--port") + 1])
            services["trainer" if port == self.trainer else "exporter"] = child
        return services

    def end(self) -> int:
        return self.process.wait(timeout=60)


Start = Callable[..., Serving]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Serving] = []

    def begin(*options: str) -> Serving:
        started.append(Serving(tmp_path, *options))
        return started[-1]

    yield begin
    for serving in started:
        if serving.process.poll() is None:
            serving.process.terminate()
            serving.end()


def gone(children: dict[str, int]) -> bool:
    deadline = time.monotonic() + 30
    while any(map(is_running, children.values())) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(is_running, children.values()))


def test_both_answer_and_one_ctrl_c_ends_both_in_order(start: Start, source: Path) -> None:
    serving = start("--workers", "2")
    children = serving.wait_until_ready()
    assert set(children) == {"trainer", "exporter"}
    ktt = [sys.executable, "-m", "cli.main", "--address", f"localhost:{serving.trainer}"]
    ktt += ["--exporter-address", f"localhost:{serving.exporter}"]
    columns = ["--text", "title", "--classes", "category", "--sep", " > "]
    for arguments in (
        ["data", "import", str(source), "shop", *columns],
        ["train", "shop", "-m", "tfidf_hsgd", "-e", "1"],
        ["predict", "shop", "-m", "tfidf_hsgd", "red football"],
    ):
        subprocess.run([*ktt, *arguments], env=environment(), check=True, capture_output=True)
    # A terminal's Ctrl-C goes to all of its foreground.
    os.killpg(serving.process.pid, signal.SIGINT)
    assert serving.end() == 0
    assert gone(children)
    assert serving.log.count('"stopped"') == 2
    assert "Error" not in serving.log


@pytest.mark.parametrize("victim", ["trainer", "exporter"])
def test_when_one_dies_the_other_ends_and_the_exit_code_says_so(start: Start, victim: str) -> None:
    serving = start()
    children = serving.wait_until_ready()
    os.kill(children[victim], signal.SIGKILL)
    assert serving.end() == 1
    assert gone(children)
    assert f"the {victim} was killed by SIGKILL" in serving.log
    assert serving.log.count('"stopped"') == 1


def test_the_services_end_with_a_killed_ktt(start: Start) -> None:
    serving = start()
    children = serving.wait_until_ready()
    serving.process.kill()
    assert gone(children)
    assert serving.log.count('"stopped"') == 2


def test_a_port_that_is_taken_ends_both(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        serving = start("--exporter-port", str(taken.getsockname()[1]))
        assert serving.end() == 2
    assert "cannot listen" in serving.log
    assert "the exporter ended with exit code 2" in serving.log
    assert READY not in serving.log


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "--insecure"),
        (["--port", "5005", "--exporter-port", "5005"], "--port and --exporter-port are both"),
        (["--host", "unix:/tmp/ktt.sock"], "cannot listen on one socket"),
        (["--tls-cert", "server.pem"], "--tls-key is missing"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(
    ktt: Ktt, workspace: Path, options: list[str], message: str
) -> None:
    done = ktt("serve", *options)
    assert done.code == 2
    assert message in done.err
    assert not workspace.exists()


def test_a_server_is_not_served() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "--address", "localhost", "serve"],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "--workspace" in done.stderr
