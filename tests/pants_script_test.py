"""`./pants` on machines that lack or have things, played with fake programs in an empty home."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHELL = shutil.which("bash") or "/bin/bash"
# Answers the version check as its own name says, and "installs" a Pants that prints what it was
# given.
PYTHON = """#!{shell}
PATH=/usr/bin:/bin
case "$1" in
  -c) exit 0 ;;
  */setup_pants.py)
    printf 'set up\\n' >>"$HOME/calls"
    mkdir -p "$2/venv/bin"
    ln -s {python} "$2/venv/bin/python"
    {{
      printf '#!{shell}\\nprintf "argument %%s\\\\n" "$@"\\n'
      printf '/usr/bin/env | /usr/bin/sort\\n'
    }} >"$2/venv/bin/pants"
    chmod +x "$2/venv/bin/pants"
    printf 'ktt_set PANTS_PEX_CLI_URL_TEMPLATE file:///made/here\\n' >"$2/pex.sh"
    : >"$2/ready" ;;
  *) exec {python} "$@" ;;
esac
"""
# Stands before the real pip on Python's path, notes that it was asked, and answers what the test
# wants.
PIP = """
import pathlib, sys
home = pathlib.Path.home()
asked = " ".join(sys.argv[1:])
with (home / "calls").open("a") as calls:
    calls.write("pip index\\n" if "index versions torch" in asked else "pip config\\n")
answer = home / "pip-says"
if asked.endswith("config list") and answer.exists():
    print(answer.read_text())
"""


class Machine:
    """A home folder, a PATH of its own and a copy of what `./pants` consists of."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.programs = folder / "bin"
        self.repository = folder / "a repository"
        self.environment: dict[str, str] = {}
        for path in ("pants", "build-support/pip_settings.py", "3rdparty/python/cpu.lock"):
            (self.repository / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, self.repository / path)
        self.home.mkdir()
        self.programs.mkdir()
        self.environment["PYTHONPATH"] = str(folder / "packages")
        self.program(folder / "packages/pip/__main__.py", PIP)
        (folder / "packages/pip/__init__.py").touch()
        wheels = folder / "wheels"
        wheels.mkdir()
        self.wheels = wheels
        (wheels / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()

    def program(self, path: Path, content: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o755)

    def add_pythons(self, *versions: str, folder: Path | None = None) -> None:
        for version in versions:
            path = (folder or self.programs) / f"python{version}"
            self.program(path, PYTHON.format(shell=SHELL, python=sys.executable))

    def pants(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [SHELL, str(self.repository / "pants"), *arguments],
            env={"HOME": str(self.home), "PATH": str(self.programs), **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def options(self) -> dict[str, str]:
        """Run Pants and return the options it found in its environment."""
        lines = self.pants("version").stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if line.startswith("PANTS_"))

    def calls(self) -> list[str]:
        path = self.home / "calls"
        return path.read_text().split("\n")[:-1] if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def ready(machine: Machine) -> Machine:
    machine.add_pythons("3.9", "3.10", "3.11")
    machine.environment["PIP_FIND_LINKS"] = str(machine.wheels)
    (machine.home / "pip-says").write_text(f":env:.find-links='{machine.wheels}'\n")
    return machine


def test_missing_pythons_are_named_with_the_way_to_get_them(machine: Machine) -> None:
    message = machine.pants("--version", code=1).stderr
    assert "found no working Python 3.9 3.10 3.11" in message
    assert "pyenv install 3.9 3.10 3.11" in message
    assert machine.calls() == []


def test_a_shim_that_leads_nowhere_is_no_python(ready: Machine) -> None:
    broken = f"#!{SHELL}\necho 'pyenv: python3.10: command not found' >&2\nexit 127\n"
    ready.program(ready.programs / "python3.10", broken)
    message = ready.pants("--version", code=1).stderr
    assert "found no working Python 3.10 on" in message
    assert "pyenv install 3.10\n" in message


def test_pyenv_versions_that_are_not_switched_on_are_found(ready: Machine) -> None:
    (ready.programs / "python3.9").unlink()
    ready.add_pythons("3.9", folder=ready.home / ".pyenv/versions/3.9.18/bin")
    ready.pants("--version")
    shutil.rmtree(ready.home / ".cache")
    (ready.home / ".pyenv").rename(ready.home / "elsewhere")
    ready.environment["PYENV_ROOT"] = str(ready.home / "elsewhere")
    ready.pants("--version")


def test_arguments_reach_pants_as_they_are(ready: Machine) -> None:
    lines = ready.pants("run", "a b", "", "--tag=-x", "::").stdout.splitlines()
    arguments = [line for line in lines if line.startswith("argument")]
    assert arguments == [
        "argument run",
        "argument a b",
        "argument ",
        "argument --tag=-x",
        "argument ::",
    ]


def test_it_is_set_up_once_and_in_the_cache_alone(ready: Machine) -> None:
    before = sorted(ready.repository.rglob("*"))
    ready.pants("--version")
    ready.pants("--version")
    assert ready.calls() == ["set up", "pip config"]
    assert [
        path for path in sorted(ready.repository.rglob("*")) if "__pycache__" not in str(path)
    ] == before
    assert (ready.home / ".cache/ktt").is_dir()
    ready.environment["XDG_CACHE_HOME"] = str(ready.home / "other cache")
    ready.pants("--version")
    assert (ready.home / "other cache/ktt").is_dir()


def test_a_set_up_that_was_interrupted_is_done_again(ready: Machine) -> None:
    ready.pants("--version")
    (marker,) = (ready.home / ".cache/ktt").glob("pants-*/ready")
    marker.unlink()
    ready.pants("--version")
    assert ready.calls() == ["set up", "pip config", "set up"]


def test_later_runs_add_less_than_three_tenths_of_a_second(ready: Machine) -> None:
    ready.pants("--version")
    times = []
    for _ in range(5):
        start = time.perf_counter()
        ready.pants("--version")
        times.append(time.perf_counter() - start)
    assert min(times) < 0.3


def test_pip_settings_reach_pants(ready: Machine) -> None:
    bundle = ready.home / "certificates.pem"
    bundle.touch()
    (ready.home / "pip-says").write_text(
        f"global.cert='{bundle}'\n"
        "global.extra-index-url='https://index.example/one file:///index/two'\n"
        f"global.find-links='{ready.wheels}'\n"
    )
    options = ready.options()
    assert options["PANTS_CA_CERTS_PATH"] == str(bundle)
    assert options["PANTS_PYTHON_REPOS_FIND_LINKS"] == f"['{ready.wheels.as_uri()}']"
    assert (
        options["PANTS_PYTHON_REPOS_INDEXES"]
        == "+['https://index.example/one', 'file:///index/two']"
    )
    assert options["PANTS_PEX_CLI_URL_TEMPLATE"] == "file:///made/here"


def test_a_variable_of_pants_itself_wins(ready: Machine) -> None:
    ready.environment["PANTS_PYTHON_REPOS_FIND_LINKS"] = "['file:///mine']"
    assert ready.options()["PANTS_PYTHON_REPOS_FIND_LINKS"] == "['file:///mine']"


@pytest.mark.parametrize("change", ["variable", "file", "named file"])
def test_changed_settings_are_noticed(ready: Machine, change: str) -> None:
    named = ready.home / "named.conf"
    ready.environment["PIP_CONFIG_FILE"] = str(named)
    ready.pants("--version")
    if change == "variable":
        ready.environment["PIP_INDEX_URL"] = "https://index.example/simple"
    else:
        path = ready.home / ".config/pip/pip.conf" if change == "file" else named
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[global]\nindex-url = https://index.example/simple\n")
    (ready.home / "pip-says").write_text("global.index-url='https://index.example/simple'\n")
    options = ready.options()
    assert options["PANTS_PYTHON_REPOS_INDEXES"].startswith("['https://index.example/simple'")
    assert "PANTS_PYTHON_REPOS_FIND_LINKS" not in options


def test_settings_may_hold_a_password_and_are_the_owners_alone(ready: Machine) -> None:
    ready.pants("--version")
    (settings,) = (ready.home / ".cache/ktt").glob("pip-settings*")
    assert settings.stat().st_mode & 0o077 == 0


def test_where_pip_looks_nowhere_else_the_pytorch_index_is_added(ready: Machine) -> None:
    (ready.home / "pip-says").unlink()
    del ready.environment["PIP_FIND_LINKS"]
    assert (
        ready.options()["PANTS_PYTHON_REPOS_INDEXES"] == "+['https://download.pytorch.org/whl/cpu']"
    )
    assert "pip index" in ready.calls()


def test_a_torch_that_is_nowhere_is_said_with_the_remedy(ready: Machine) -> None:
    (ready.wheels / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").unlink()
    message = ready.pants("--version").stderr
    assert "torch==2.13.0+cpu" in message
    assert "PIP_FIND_LINKS" in message


def test_an_installed_launcher_is_used(ready: Machine) -> None:
    ready.program(
        ready.programs / "pants", f'#!{SHELL}\nprintf "launcher %s\\n" "$@"\n/usr/bin/env\n'
    )
    output = ready.pants("test", "::").stdout
    assert "launcher test\nlauncher ::\n" in output
    assert f"PANTS_PYTHON_REPOS_FIND_LINKS=['{ready.wheels.as_uri()}']" in output
    assert "PANTS_PEX_CLI_URL_TEMPLATE" not in output
    assert ready.calls() == ["pip config"]


def test_the_repository_itself_on_the_path_is_no_launcher(ready: Machine) -> None:
    ready.environment["PATH"] = f"{ready.programs}:{ready.repository}"
    (ready.repository / "pants").chmod(0o755)
    ready.pants("--version")
    assert "set up" in ready.calls()
