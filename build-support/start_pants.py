"""Start Pants, and be the program that `./pants run` is asked for.

Usage: start_pants.py ARGUMENT ...

Run by `./pants` in the environment that has Pants. It does two things that Pants 2.17 does not:

- While a program runs under Pants' `run`, every other command of the checkout waits for it. Here
  the goal `hand-over` prepares the program, and then this process becomes it: with its terminal,
  its signals and its exit code, and without Pants beside it.
- A daemon that starts too slowly ends in a traceback. Here the command goes on without a daemon.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from pants.bin.pants_env_vars import DAEMON_ENTRYPOINT  # pants: no-infer-dep
from pants.bin.pants_loader import PantsLoader  # pants: no-infer-dep
from pants.option.options_bootstrapper import OptionsBootstrapper  # pants: no-infer-dep
from pants.pantsd.process_manager import ProcessManager  # pants: no-infer-dep

ROOT = Path(__file__).resolve().parent.parent
# Below the folder that Pants itself keeps in a checkout.
RUNS = Path(".pants.d") / "ktt-runs"
# The folder there of large files that runs share, and how long one stays that no run has.
SHARED = "shared"
SHARED_SECONDS = 14 * 24 * 3600


class Run(NamedTuple):
    """A command line that runs a target.

    Attributes
    ----------
    before : tuple of str
        What stands before the goal `run`.
    after : tuple of str
        What stands behind it, up to `--`.
    program : tuple of str
        What the program is given.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    program: tuple[str, ...]


def parse_run(arguments: Sequence[str]) -> Run | None:
    """Return a command line that runs one target and does nothing else, or None.

    Options behind `run` may be its own, which the goal that takes its place does not have.
    """
    words = list(arguments)
    end = words.index("--") if "--" in words else len(words)
    own, program = words[:end], words[end + 1 :]
    if own.count("run") != 1:
        return None
    place = own.index("run")
    before, after = own[:place], own[place + 1 :]
    goals = [word for word in before if not word.startswith("-")]
    if goals or len(after) != 1 or after[0].startswith("-"):
        return None
    return Run(tuple(before), tuple(after), tuple(program))


def expand(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments with Pants' aliases in full."""
    options = OptionsBootstrapper.create(
        env=os.environ, args=["pants", *arguments], allow_pantsrc=True
    )
    return tuple(options.args[1:])


def start(arguments: Sequence[str]) -> int:
    """Run Pants and return its exit code."""
    sys.argv[1:] = arguments
    try:
        PantsLoader.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


def start_without_daemon(arguments: Sequence[str], reason: Exception) -> NoReturn:
    """Begin again in a new process that needs no daemon."""
    print(
        f"ktt: Pants' daemon is too slow to answer ({reason}). The command goes on without it; "
        "PANTS_PANTSD=false does so from the start.",
        file=sys.stderr,
        flush=True,
    )
    os.environ["PANTS_PANTSD"] = "false"
    os.execv(sys.executable, [sys.executable, sys.argv[0], *arguments])


def start_beside(arguments: Sequence[str]) -> NoReturn:
    """Leave a command to Pants, in a process that keeps no other command waiting."""
    os.environ.setdefault("PANTS_CONCURRENT", "true")
    os.execv(sys.executable, [sys.executable, "-m", PantsLoader.__module__, *arguments])


def sweep(runs: Path) -> None:
    """Delete what ended runs have left: a run that goes on holds a lock."""
    for folder in runs.iterdir():
        if folder.name == SHARED:
            continue
        try:
            descriptor = os.open(folder / "lock", os.O_RDWR)
        except OSError:
            # It is being made.
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            # It runs.
            continue
        finally:
            os.close(descriptor)
    oldest = time.time() - SHARED_SECONDS
    for file in (runs / SHARED).glob("*"):
        # Another run may sweep at the same time.
        with contextlib.suppress(FileNotFoundError):
            status = file.stat()
            if status.st_nlink == 1 and status.st_mtime < oldest:
                file.unlink()


def claim_folder(runs: Path) -> tuple[Path, int]:
    """Make a folder for one run; return it and the lock that keeps it."""
    while True:
        folder = Path(tempfile.mkdtemp(dir=runs))
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Another run may have swept it before it was locked.
        if (folder / "lock").exists():
            return folder, lock
        os.close(lock)


@contextlib.contextmanager
def without_input() -> Iterator[None]:
    """Keep the standard input for the program: the daemon's client reads all there is of it."""
    kept, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    try:
        os.dup2(nothing, 0)
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(nothing)


def run(wanted: Run, arguments: Sequence[str]) -> int:
    """Prepare a target and become it; return an exit code only if there is nothing to become."""
    runs = ROOT / RUNS
    runs.mkdir(parents=True, exist_ok=True)
    sweep(runs)
    folder, lock = claim_folder(runs)
    try:
        into = f"--hand-over-into={RUNS / folder.name}"
        with without_input():
            code = start([*wanted.before, "hand-over", into, *wanted.after])
        if code:
            return code
        plan = json.loads((folder / "plan.json").read_text())
        if plan is None:
            start_beside(arguments)
        command = [*plan["command"], *wanted.program]
        os.chdir(ROOT)
        # The program holds the lock to its end.
        os.set_inheritable(lock, True)
        os.execve(command[0], command, {**os.environ, **plan["environment"]})
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def main() -> int:
    """Do what the arguments say."""
    arguments = sys.argv[1:]
    if DAEMON_ENTRYPOINT in os.environ:
        return start(arguments)
    words = expand(arguments)
    wanted = parse_run(words)
    # The scripts that Pants makes around a program know no blanks in the path that leads to it.
    if wanted is not None and len(str(ROOT).split()) > 1:
        start_beside(arguments)
    if wanted is None and "run" in words[: words.index("--") if "--" in words else None]:
        start_beside(arguments)
    try:
        return start(arguments) if wanted is None else run(wanted, arguments)
    except (ProcessManager.Timeout, ProcessManager.NonResponsiveProcess) as error:
        if os.environ.get("PANTS_PANTSD") == "false":
            raise
        start_without_daemon(arguments, error)


if __name__ == "__main__":
    sys.exit(main())
