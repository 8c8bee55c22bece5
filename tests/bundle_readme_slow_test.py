"""A bundle's README works as printed: both halves without containers, in environments it makes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Ktt, free_port
from ktt_core.interpreters.provision import provide_interpreters

PORTS = {5000: "inference", 5001: "monitoring"}
START_SECONDS = 180


def commands(readme: str) -> list[str]:
    """Return the lines of a README's code blocks, without those that are for containers."""
    lines = [line.strip() for line in readme.splitlines() if line.startswith("    ")]
    assert lines
    return [line for line in lines if "docker" not in line and ".env" not in line]


@pytest.fixture(scope="module")
def pythons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the Pythons that the README names, and nothing else of this test's."""
    folder = tmp_path_factory.mktemp("pythons")
    for name, program in (
        ("python3.11", provide_interpreters(["3.11"])["3.11"].resolve()),
        ("python3.11", Path(sys.executable).resolve()),
    ):
        script = folder / name
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(program))} "$@"\n')
        script.chmod(0o755)
    return folder


class Shell:
    """A terminal in a bundle's folder, whose ports are others than those that are printed."""

    def __init__(self, folder: Path, pythons: Path, home: Path) -> None:
        self.folder = folder
        self.ports = {port: free_port() for port in PORTS}
        kept = ("PIP_CERT", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL")
        self._environment = {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "PATH": os.pathsep.join([str(pythons), os.defpath]),
            "HOME": os.environ.get("HOME", str(home)),
            "BENTOML_HOME": str(home / "bentoml"),
            "EVIDENTLY_PORT": str(self.ports[5001]),
        }
        self._home = home

    def run(self, line: str) -> str:
        """Run a line to its end, and return what it prints."""
        for port, own in self.ports.items():
            line = line.replace(f"localhost:{port}/", f"localhost:{own}/")
        done = subprocess.run(
            ["bash", "-euc", line],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=1200,
        )
        assert done.returncode == 0, f"$ {line}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def started(self, line: str, port: int) -> Iterator[None]:
        """Start what does not end by itself, on this test's port, and wait until it answers."""
        log = self._home / f"{port}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-euc", f"exec {line} --port {self.ports[port]}"],
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        path = {5000: "/healthz", 5001: "/ready"}[port]
        try:
            end = time.monotonic() + START_SECONDS
            while not self._answers(port, path):
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.2)
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _answers(self, port: int, path: str) -> bool:
        with contextlib.suppress(OSError, urllib.error.URLError):
            return int(self.get(port, path)[0]) == 200
        return False

    def get(self, port: int, path: str) -> tuple[int, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}") as answer:
            return answer.status, answer.read().decode()

    def post(self, port: int, path: str, body: Any) -> tuple[Any, str]:
        """Return an answer and the id of the request."""
        url = f"http://127.0.0.1:{self.ports[port]}{path}"
        with urllib.request.urlopen(url, json.dumps(body).encode()) as answer:
            return json.loads(answer.read()), str(answer.headers["X-Request-Id"])


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README asks with curl")
def test_both_halves_run_as_the_readme_has_it(
    ktt: Ktt, shop: str, workspace: Path, pythons: Path, tmp_path: Path
) -> None:
    assert ktt("train", shop, "-m", "tfidf_hsgd", "-r").code == 0
    done = ktt("export", shop, "-m", "tfidf_hsgd", "--bento")
    assert done.code == 0, done.err
    # A copy is enough, and a blank in its path no hindrance.
    bundle = Path(shutil.copytree(workspace / "build/tfidf_hsgd_shop", tmp_path / "a bundle"))
    printed = commands((bundle / "README.md").read_text())
    shell = Shell(bundle, pythons, tmp_path)
    makes = [line for line in printed if "-m venv" in line or "pip install" in line]
    asks = [line for line in printed if line.startswith("curl")]
    (inference,) = (line for line in printed if "inference/start" in line)
    (monitoring,) = (line for line in printed if "monitoring/monitoring.py" in line)
    assert len(printed) == len(makes) + len(asks) + 2
    assert len(makes) == 4 and len(asks) >= 4
    for line in makes:
        shell.run(line)
    with shell.started(monitoring, 5001), shell.started(inference, 5000):
        answers = {line: json.loads(shell.run(line)) for line in asks}
        # Placeholders are texts too, and the label of one is no class.
        assert [sorted(answer) for answer in answers.values() if isinstance(answer, dict)] == [
            ["predictions"],
            ["answers"],
            ["error"],
        ]
        assert len(answers) == 4
        _check_that_labels_find_their_rows(shell)


def _check_that_labels_find_their_rows(shell: Shell) -> None:
    path, single = shell.post(5000, "/predict", {"text": "trail shoes"})
    texts = ["drum kit", "tennis ball", "drum kit"]
    several, whole = shell.post(5000, "/predict_proba", {"texts": texts, "top_k": 1})
    labels = {single: path}
    for answer in several["answers"]:
        labels[answer["id"]] = "\n".join(answer["predictions"][0]["path"])
    assert len(labels) == 4 and whole not in labels
    feedback = [{"id": name, "label": label} for name, label in labels.items()]
    outcome, _ = shell.post(5001, "/feedback", {"feedback": feedback})
    assert outcome["joined"] + outcome["unknown"] == 4
    end = time.monotonic() + 60
    # A label may be there before its row is, which is sent from time to time.
    while not re.search(
        r'^ktt_monitoring_feedback_total\{outcome="joined"\} 4',
        shell.get(5001, "/metrics")[1],
        re.M,
    ):
        assert time.monotonic() < end, shell.get(5001, "/metrics")[1]
        time.sleep(0.2)


def test_a_bundle_without_a_monitor_has_the_same_commands() -> None:
    files = Path("libs/ktt_packing/packer/bundle_files")
    both, alone = (
        commands((files / name).read_text()) for name in ("README.md", "README-alone.md")
    )
    assert set(alone) < set(both)
    assert not [line for line in alone if "monitoring" in line or "5001" in line]
