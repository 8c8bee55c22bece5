"""The packer's environment: made once, atomically, from pinned requirements.

pip itself is not tested here; scripts that stand in for Python 3.11 make minimal environments.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ktt_core.errors import FailedPreconditionError, JobFailedError
from ktt_core.interpreters.search import find_interpreter
from ktt_packing.client.environment import environment_folder, make_environment

# A stand-in for a Python 3.11 with venv, whose environments have a pip that succeeds or fails.
STAND_IN = """#!/bin/sh
echo "$@" >> "{log}"
case "$*" in
*ensurepip*) exit {probe} ;;
*"-m venv"*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
*"pip install"*) sleep 0.2; {pip} ;;
esac
"""


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path, monkeypatch):
    for name in ("HOME", "PYENV_ROOT", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    # What the stand-ins call, without this machine's Pythons.
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cp", "mkdir", "sleep"):
        (tools / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{tools}")
    monkeypatch.setenv("KTT_PYTHON_DOWNLOADS", "never")


@pytest.fixture
def requirements(tmp_path):
    file = tmp_path / "packer.txt"
    file.write_text("bentoml==0.13.1 --hash=sha256:00\n")
    return file


def install(folder: Path, log: Path, probe: int = 0, pip: str = "exit 0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "python3.11"
    python.write_text(STAND_IN.format(log=log, probe=probe, pip=pip))
    python.chmod(0o755)
    return python


def test_it_is_made_once_with_pinned_hashes(tmp_path, requirements):
    log = tmp_path / "log"
    install(tmp_path / "bin", log)
    phases = []
    python = make_environment(requirements, lambda event: phases.append(event.phase))
    assert python == environment_folder(requirements) / "bin" / "python"
    assert python.is_file()
    (command,) = [line for line in log.read_text().splitlines() if "pip install" in line]
    assert "--no-deps --require-hashes" in command and str(requirements) in command
    assert phases == ["packer"]
    assert make_environment(requirements) == python
    assert log.read_text().count("pip install") == 1
    assert not list(python.parents[2].glob(".tmp-*"))


def test_other_requirements_have_another_environment(tmp_path, requirements):
    install(tmp_path / "bin", tmp_path / "log")
    first = make_environment(requirements)
    requirements.write_text("bentoml==0.13.2 --hash=sha256:00\n")
    assert make_environment(requirements) != first


def test_of_two_concurrent_callers_one_makes_it(tmp_path, requirements):
    log = tmp_path / "log"
    install(tmp_path / "bin", log)
    threads = [threading.Thread(target=make_environment, args=[requirements]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.read_text().count("pip install") == 1


def test_pip_s_message_is_the_error_and_nothing_is_left(tmp_path, requirements):
    failing = "echo 'ERROR: no matching distribution found for bentoml'; exit 1"
    install(tmp_path / "bin", tmp_path / "log", pip=failing)
    with pytest.raises(JobFailedError, match="no matching distribution.*pip config list"):
        make_environment(requirements)
    folder = environment_folder(requirements)
    assert [path.name for path in folder.parent.iterdir()] == [f"{folder.name}.lock"]
    install(tmp_path / "bin", tmp_path / "log")
    assert make_environment(requirements).is_file()


def test_an_environment_without_its_python_is_made_again(tmp_path, requirements):
    install(tmp_path / "bin", tmp_path / "log")
    python = make_environment(requirements)
    python.unlink()
    python.symlink_to("/nowhere/python3.11")
    assert make_environment(requirements) == python
    assert python.is_file()


def test_pyenv_s_versions_are_found_where_its_shims_do_not_work(tmp_path):
    install(tmp_path / "bin", tmp_path / "log", probe=1)
    versions = tmp_path / "pyenv_root" / "versions"
    install(versions / "3.12.1" / "bin", tmp_path / "log")
    assert find_interpreter("3.11") is None
    wanted = install(versions / "3.11.13" / "bin", tmp_path / "log")
    assert find_interpreter("3.11") == wanted


def test_an_unwritable_cache_is_reported(tmp_path, requirements, monkeypatch):
    install(tmp_path / "bin", tmp_path / "log")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(FailedPreconditionError, match="XDG_CACHE_HOME"):
        make_environment(requirements)


def test_the_remains_of_a_killed_set_up_are_removed_by_the_next_one(tmp_path, requirements):
    log = tmp_path / "log"
    install(tmp_path / "bin", log, pip="sleep 600")
    code = (
        "import sys; from pathlib import Path; "
        "from ktt_packing.client.environment import make_environment; "
        "make_environment(Path(sys.argv[1]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, requirements],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    while not log.exists() or "pip install" not in log.read_text():
        assert process.poll() is None
    process.kill()
    process.wait()
    assert not environment_folder(requirements).exists()
    install(tmp_path / "bin", log)
    python = make_environment(requirements)
    assert not list(python.parents[2].glob(".tmp-*"))
