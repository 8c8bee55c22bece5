"""How the program ends: with its exit code, whoever reads what it says, and whoever still works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli import main

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
KTT = [sys.executable, "-m", main.__name__]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["nonsense"], 2), (["data", "show", "nothing"], 3), (["data", "show", "x", "--json"], 3)],
)
def test_an_error_that_nobody_reads_has_its_exit_code(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    read, written = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([*KTT, *arguments], cwd=tmp_path, env=ENVIRONMENT, stderr=written)
    finally:
        os.close(written)
    assert done.returncode == code


@pytest.mark.parametrize(
    ("arguments", "code"), [("models", 0), ("data show nothing", 3), ("predict nothing", 3)]
)
def test_standard_files_that_are_closed_are_as_good_as_empty(
    tmp_path: Path, arguments: str, code: int
) -> None:
    line = f'"$@" {arguments} <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", line, "sh", *KTT], cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode == code


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_waiting_for_a_thread_at_the_end(signum: signal.Signals) -> None:
    code = (
        "import signal, threading, time\n"
        "from cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGTERM, main._stop)\n"
        "shutdown = threading._shutdown\n"
        "threading._shutdown = lambda: (print('waiting', flush=True), shutdown())\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "main._leave(3)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signum)
        assert process.wait(timeout=30) == -signum
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
