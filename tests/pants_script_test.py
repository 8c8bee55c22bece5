"""`./pants` on machines that lack or have things, played with fake programs in an empty home."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

SHELL = shutil.which("bash") or "/bin/bash"
# Answers the version check as its own name says, and "installs" a Python that stands in for Pants
# and prints what it was given.
PYTHON = """#!{shell}
case "$*" in
  *ensurepip*) exit 0 ;;
  *"sys.exit(sys.version_info < (3, 9))") exit {old} ;;
  *setup_pants.py*)
    printf 'set up\\n' >>"$HOME/calls"
    PATH=/usr/bin:/bin
    shift # -B
    mkdir -p "$2/venv/bin"
    {{
      printf '#!{shell}\\nshift 2\\nprintf "argument %%s\\\\n" "$@"\\n'
      printf '/usr/bin/env | /usr/bin/sort\\n'
    }} >"$2/venv/bin/python"
    chmod +x "$2/venv/bin/python"
    printf 'ktt_set PANTS_PEX_CLI_URL_TEMPLATE file:///made/here\\n' >"$2/pex.sh"
    : >"$2/ready" ;;
  *pip_settings.py*)
    printf 'settings\\n' >>"$HOME/calls"
    exec {python} "$@" ;;
  *) exec {python} "$@" ;;
esac
"""
# The parts of the repository that `./pants` needs.
PARTS = (
    "pants",
    "build-support/pip_settings.py",
    "3rdparty/python/cpu.lock",
    "libs/ktt_core/__init__.py",
    "libs/ktt_core/atomic.py",
    "libs/ktt_core/errors.py",
    "libs/ktt_core/locks.py",
    *(f"libs/ktt_core/interpreters/{name}.py" for name in (
        "__init__", "__main__", "package_index", "pip_configuration", "provision", "search", "uv",
    )),
    "libs/ktt_core/interpreters/uv.txt",
)  # fmt: skip


class Machine:
    """A home folder, a PATH of its own and a copy of what `./pants` consists of."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.programs = folder / "bin"
        self.repository = folder / "a repository"
        self.environment: dict[str, str] = {}
        for path in PARTS:
            (self.repository / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, self.repository / path)
        self.home.mkdir()
        self.programs.mkdir()
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
            old = int(version in ("3.6", "3.8"))
            self.program(path, PYTHON.format(shell=SHELL, python=sys.executable, old=old))

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
    machine.add_pythons("3.9", "3.11")
    machine.environment["PIP_FIND_LINKS"] = str(machine.wheels)
    return machine


def test_missing_pythons_are_named_with_the_ways_to_get_them(machine: Machine) -> None:
    machine.environment["KTT_PYTHON_DOWNLOADS"] = "never"
    machine.add_pythons("3.13")
    message = machine.pants("--version", code=1).stderr
    assert "found no whole Python 3.9 and 3.11" in message
    assert "pyenv install 3.9 3.11" in message
    assert "uv python install 3.9 3.11" in message
    assert "python3.11-venv" in message
    assert machine.calls() == []


def test_without_any_python_the_one_that_it_takes_is_named(machine: Machine) -> None:
    assert "any version from 3.9 on" in machine.pants("--version", code=1).stderr
    machine.add_pythons("3.8")
    (machine.programs / "python3").symlink_to("python3.8")
    assert "any version from 3.9 on" in machine.pants("--version", code=1).stderr


def test_a_shim_that_leads_nowhere_is_no_python(ready: Machine) -> None:
    ready.environment["KTT_PYTHON_DOWNLOADS"] = "never"
    broken = f"#!{SHELL}\necho 'pyenv: python3.9: command not found' >&2\nexit 127\n"
    ready.program(ready.programs / "python3.9", broken)
    message = ready.pants("--version", code=1).stderr
    assert "found no whole Python 3.9 on" in message
    assert "pyenv install 3.9`" in message


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
    assert ready.calls() == ["set up", "settings"]
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
    assert ready.calls() == ["set up", "settings", "set up"]


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
    configuration = ready.home / ".config/pip/pip.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(
        f"[global]\ncert = {bundle}\n"
        "extra-index-url = https://index.example/one file:///index/two\n"
        f"find-links = {ready.wheels}\n"
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
    assert ready.options()["PANTS_PYTHON_REPOS_FIND_LINKS"]
    if change == "variable":
        ready.environment["PIP_EXTRA_INDEX_URL"] = "file:///my/index"
    else:
        path = ready.home / ".config/pip/pip.conf" if change == "file" else named
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("[global]\nextra-index-url = file:///my/index\n")
    assert ready.options()["PANTS_PYTHON_REPOS_INDEXES"] == "+['file:///my/index']"


def test_settings_may_hold_a_password_and_are_the_owners_alone(ready: Machine) -> None:
    ready.pants("--version")
    (settings,) = (ready.home / ".cache/ktt").glob("pip-settings*")
    assert settings.stat().st_mode & 0o077 == 0


def test_a_torch_that_is_nowhere_is_said_with_the_remedy(ready: Machine) -> None:
    (ready.wheels / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").unlink()
    ready.environment["PIP_NO_INDEX"] = "1"
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
    assert ready.calls() == ["settings"]


def test_with_a_launcher_a_program_that_runs_keeps_nobody_waiting(ready: Machine) -> None:
    ready.program(ready.programs / "pants", f"#!{SHELL}\n/usr/bin/env\n")
    assert "PANTS_CONCURRENT=true\n" in ready.pants("--tag=x", "run", "a:b", "--", "c").stdout
    assert "PANTS_CONCURRENT" not in ready.pants("test", "::", "--", "run").stdout
    ready.environment["PANTS_CONCURRENT"] = "false"
    assert "PANTS_CONCURRENT=false\n" in ready.pants("run", "a:b").stdout


def test_pythons_that_were_fetched_are_looked_at_first_by_pants(ready: Machine) -> None:
    assert "PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH" not in ready.options()
    ready.environment["XDG_CACHE_HOME"] = str(ready.home / "it's a cache")
    folder = ready.home / "it's a cache/ktt/pythons/cpython-3.11.22-linux-x86_64-gnu/bin"
    folder.mkdir(parents=True)
    path = ast.literal_eval(ready.options()["PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH"])
    assert path == [str(folder), "<PYENV>", "<PATH>"]
    ready.environment["PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH"] = "['/mine']"
    assert ready.options()["PANTS_PYTHON_BOOTSTRAP_SEARCH_PATH"] == "['/mine']"


def test_a_cache_that_cannot_be_written_is_one_error(ready: Machine) -> None:
    (ready.home / "file").touch()
    ready.environment["XDG_CACHE_HOME"] = str(ready.home / "file")
    message = ready.pants("--version", code=1).stderr
    assert message.startswith("ktt: error: ") and "XDG_CACHE_HOME" in message
    assert "Traceback" not in message


def test_the_repository_itself_on_the_path_is_no_launcher(ready: Machine) -> None:
    ready.environment["PATH"] = f"{ready.programs}:{ready.repository}"
    (ready.repository / "pants").chmod(0o755)
    ready.pants("--version")
    assert "set up" in ready.calls()
