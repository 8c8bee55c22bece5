"""A program ends with who runs it, and with it what it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ktt_core.interpreters.search import clean_environment
from ktt_core.subprocesses import run_program

# Starts a child, writes both numbers, and waits.
HANGS = (
    "import os, subprocess, sys, time; child = subprocess.Popen(['sleep', '600']); "
    "open(sys.argv[1], 'w').write(f'{os.getpid()} {child.pid}\\n'); time.sleep(600)"
)


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)
    return found


def numbers(file: Path) -> list[int]:
    wait_for(lambda: file.exists() and file.read_text().endswith("\n"))
    return list(map(int, file.read_text().split()))


def test_its_output_and_exit_code_are_returned(tmp_path, capfd):
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    ended = run_program([sys.executable, "-c", code], clean_environment(), tmp_path)
    assert (ended.code, ended.output, ended.killed_by) == (3, "out\n", "")
    assert "err" in capfd.readouterr().err
    ended = run_program(
        [sys.executable, "-c", code], clean_environment(), tmp_path, errors_too=True
    )
    assert sorted(ended.output.split()) == ["err", "out"]


def test_of_much_output_the_end_is_kept(tmp_path):
    code = "print('x' * 3_000_000); print('the end')"
    ended = run_program([sys.executable, "-c", code], clean_environment(), tmp_path)
    assert ended.output.endswith("x\nthe end\n")
    assert len(ended.output) == 1024**2


def test_what_killed_it_is_named(tmp_path):
    code = "import os; os.kill(os.getpid(), 9)"
    ended = run_program([sys.executable, "-c", code], clean_environment(), tmp_path)
    assert ended.killed_by == "SIGKILL"


def test_a_program_that_cannot_be_run_says_so(tmp_path):
    ended = run_program([tmp_path / "none"], clean_environment(), tmp_path, errors_too=True)
    assert (ended.code, ended.could_not_run) == (127, True)
    assert "none cannot be run: No such file" in ended.output


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("#!/usr/bin/env python-that-is-not-here\n", 127),
        ("#!/not/here/python\n", 127),
        ("not a program\n", 126),
    ],
)
def test_a_program_whose_interpreter_is_not_there_cannot_be_run(tmp_path, content, code):
    program = tmp_path / "program"
    program.write_text(content)
    program.chmod(0o755)
    ended = run_program([program], clean_environment(), tmp_path, errors_too=True)
    assert (ended.code, ended.could_not_run) == (code, True)


def test_it_does_not_find_this_python_s_modules(monkeypatch):
    for name in ("PYTHONPATH", "PEX_PATH", "VIRTUAL_ENV", "PEX_ROOT", "PIP_CERT"):
        monkeypatch.setenv(name, "/somewhere")
    kept = clean_environment()
    assert not {"PYTHONPATH", "PEX_PATH", "VIRTUAL_ENV"} & kept.keys()
    assert kept["PEX_ROOT"] == kept["PIP_CERT"] == "/somewhere"


def test_an_interruption_ends_it_and_its_children(tmp_path):
    file = tmp_path / "numbers"

    class Stopped(BaseException):
        pass

    def stop(number, frame):
        raise Stopped

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 3)
        with pytest.raises(Stopped):
            run_program([sys.executable, "-c", HANGS, file], clean_environment(), tmp_path)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert all(map(is_gone, numbers(file)))


def test_what_it_left_running_ends_with_it(tmp_path):
    file = tmp_path / "numbers"
    code = HANGS.replace("time.sleep(600)", "print('done')")
    ended = run_program([sys.executable, "-c", code, file], clean_environment(), tmp_path)
    assert (ended.code, ended.output) == (0, "done\n")
    child = numbers(file)[1]
    wait_for(lambda: is_gone(child))


def test_it_ends_when_its_starter_is_killed(tmp_path):
    file = tmp_path / "numbers"
    code = (
        "import os, pathlib, sys; from ktt_core.subprocesses import run_program; "
        "run_program([sys.executable, '-c', sys.argv[1], sys.argv[2]], os.environ, "
        "pathlib.Path.cwd())"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, HANGS, file],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    process = numbers(file)[0]
    starter.kill()
    starter.wait()
    wait_for(lambda: is_gone(process))
