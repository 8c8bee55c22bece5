"""What `./pants` does beside Pants: being the program that it runs, and doing without the daemon.

Pants is a stand-in: a package of a few lines before the real one on Python's path.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Prepares a program as the goal `hand-over` does, and otherwise prints what it was given.
LOADER = """
import json, os, pathlib, sys
from pants.pantsd.process_manager import ProcessManager

class PantsLoader:
    @staticmethod
    def main():
        goals = [word for word in sys.argv[1:] if not word.startswith("-")]
        if os.environ.get("SLOW") and os.environ.get("PANTS_PANTSD") != "false":
            raise ProcessManager.Timeout("exceeded timeout of 60 seconds")
        if os.environ.get("FAILS"):
            sys.exit(5)
        if "hand-over" not in goals:
            print("pants", sys.argv[1:], os.environ.get("PANTS_CONCURRENT"))
            sys.exit(3)
        # As the daemon's client does, for whoever may want it.
        sys.stdin.read()
        into = [w for w in sys.argv if w.startswith("--hand-over-into=")][0].partition("=")[2]
        plan = None
        if not os.environ.get("RESTARTABLE"):
            program = os.environ["PROGRAM"]
            plan = {"command": [sys.executable, "-c", program], "environment": {"NEW": "1"}}
        pathlib.Path(into, "plan.json").write_text(json.dumps(plan))
        sys.exit(0)

if __name__ == "__main__":
    PantsLoader.main()
"""
ALIASES = """
class OptionsBootstrapper:
    def __init__(self, args):
        self.args = args
    @classmethod
    def create(cls, env, args, allow_pantsrc):
        known = {"serve": ["run", "services:main"]}
        return cls([word for arg in args for word in known.get(arg, [arg])])
"""
MANAGER = """
class ProcessManager:
    class Timeout(Exception):
        pass
    class NonResponsiveProcess(Exception):
        pass
"""
# Another run's sweep, which is quicker than the lock of a folder that was just made.
SWEPT = """
import fcntl, os, shutil
lock = fcntl.flock

def flock(descriptor, how):
    fcntl.flock = lock
    shutil.rmtree(os.path.dirname(os.readlink(f"/proc/self/fd/{descriptor}")))
    lock(descriptor, how)

fcntl.flock = flock
"""
PROGRAM = """
import json, os, sys
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ["NEW"], os.getpid()]), flush=True)
sys.exit(9)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with what is tried, and Pants beside it."""
    root = tmp_path / "checkout"
    shutil.copytree("build-support", root / "build-support")
    for name, text in {
        "bin/pants_loader.py": LOADER,
        "bin/pants_env_vars.py": 'DAEMON_ENTRYPOINT = "DAEMON_ENTRYPOINT"',
        "option/options_bootstrapper.py": ALIASES,
        "pantsd/process_manager.py": MANAGER,
    }.items():
        file = tmp_path / "packages" / "pants" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def begin(root: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.defpath, "PYTHONPATH": str(root.parent / "packages")}
    return subprocess.Popen(
        [sys.executable, "-B", str(root / "build-support/start_pants.py"), *arguments],
        env={**environment, "PROGRAM": PROGRAM, **variables},
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call(root: Path, *arguments: str, code: int, **variables: str) -> tuple[str, str]:
    process = begin(root, *arguments, **variables)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    return output, errors


def runs(root: Path) -> list[Path]:
    return list((root / ".pants.d" / "ktt-runs").glob("*"))


@pytest.mark.parametrize(
    "arguments", [["run", "services:main"], ["--tag=x", "run", "services:main"], ["serve"]]
)
def test_the_process_becomes_the_program(root: Path, arguments: list[str]) -> None:
    process = begin(root, *arguments, "--", "run", "a b", "")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 9
    assert json.loads(output) == [["run", "a b", ""], str(root), "1", process.pid]


@pytest.mark.parametrize(
    "arguments",
    [
        ["test", "::"],
        ["test", "a:b", "--", "run"],
        ["list", "a:b", "c:d"],
    ],
)
def test_all_else_is_pants_own(root: Path, arguments: list[str]) -> None:
    assert call(root, *arguments, code=3)[0] == f"pants {arguments} None\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--debug-adapter", "a:b", "--", "c"],
        ["lint", "run", "a:b"],
        ["run", "a:b", "--tag=x"],
        ["run"],
    ],
)
def test_a_run_of_another_kind_is_pants_own_without_its_daemon(
    root: Path, arguments: list[str]
) -> None:
    assert call(root, *arguments, code=3)[0] == f"pants {arguments} true\n"


def test_below_a_path_with_blanks_a_run_is_pants_own_without_its_daemon(root: Path) -> None:
    other = root.rename(root.with_name("my checkout"))
    assert call(other, "run", "a:b", code=3)[0] == "pants ['run', 'a:b'] true\n"


def test_the_program_reads_what_it_is_sent(root: Path) -> None:
    process = begin(root, "run", "a:b", PROGRAM="import sys; print(sys.stdin.read())")
    assert process.communicate("titles\n", timeout=60)[0] == "titles\n\n"


def test_what_pants_must_restart_is_left_to_it(root: Path) -> None:
    output, _ = call(root, "run", "a:b", "--", "c", code=3, RESTARTABLE="1")
    assert output == "pants ['run', 'a:b', '--', 'c'] true\n"


def test_what_cannot_be_built_ends_with_the_code_of_pants_and_leaves_nothing(root: Path) -> None:
    call(root, "run", "a:b", code=5, FAILS="1")
    assert runs(root) == []


def test_folders_stay_while_their_program_runs_and_no_longer(root: Path) -> None:
    waits = "import time; print('runs', flush=True); time.sleep(600)"
    first = begin(root, "run", "a:b", PROGRAM=waits)
    assert first.stdout is not None and first.stdout.readline() == "runs\n"
    (folder,) = runs(root)
    call(root, "run", "a:b", code=9)
    assert folder.exists() and len(runs(root)) == 2
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert first.returncode == -signal.SIGINT
    call(root, "run", "a:b", code=9)
    assert not folder.exists() and len(runs(root)) == 1


def test_a_folder_that_was_swept_as_it_was_made_is_made_again(root: Path) -> None:
    with (root.parent / "packages/pants/bin/pants_env_vars.py").open("a") as file:
        file.write(SWEPT)
    call(root, "run", "a:b", code=9)
    assert len(runs(root)) == 1


def test_large_files_that_no_run_has_had_for_long_go(root: Path) -> None:
    shared = root / ".pants.d" / "ktt-runs" / "shared"
    shared.mkdir(parents=True)
    for name in ("old", "held", "new"):
        (shared / name).touch()
    os.link(shared / "held", root / "held")
    for name in ("old", "held"):
        os.utime(shared / name, times=(time.time() - 1e7,) * 2)
    call(root, "run", "a:b", code=9)
    assert {file.name for file in shared.iterdir()} == {"held", "new"}


@pytest.mark.parametrize(("arguments", "code"), [(["list", "a:b"], 3), (["run", "a:b"], 9)])
def test_without_an_answer_of_the_daemon_it_goes_on_alone(
    root: Path, arguments: list[str], code: int
) -> None:
    output, errors = call(root, *arguments, code=code, SLOW="1")
    assert output
    (line,) = errors.splitlines()
    assert "daemon" in line and "PANTS_PANTSD=false" in line
