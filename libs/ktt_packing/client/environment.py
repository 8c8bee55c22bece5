"""The cached Python environment that packs bundles where no other packer is configured.

It is made once, from the packer's hash-pinned requirements, with pip's settings on this machine,
and with Python 3.11, which is fetched if missing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
from pathlib import Path

from ktt_core.atomic import atomic_directory, sweep_leftovers
from ktt_core.errors import ConflictError, FailedPreconditionError, JobFailedError
from ktt_core.interpreters.provision import provide_interpreters
from ktt_core.interpreters.search import cache_folder, clean_environment
from ktt_core.locks import locked
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_core.subprocesses import run_program

__all__ = ["PYTHON_VERSION", "environment_folder", "make_environment"]

#: That of the requirements.
PYTHON_VERSION = "3.11"


def environment_folder(requirements: Path) -> Path:
    """Return the path of the environment for a file of requirements, which may not exist yet."""
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    return cache_folder() / f"packer-{digest[:16]}"


def make_environment(requirements: Path, progress: ProgressCallback = ignore_progress) -> Path:
    """Return the Python of an environment with the requirements, which is made if missing.

    Of concurrent callers one makes it, and the others wait.

    Parameters
    ----------
    requirements : Path
        A file of requirements pinned by hash, theirs included.
    progress : callable

    Raises
    ------
    FailedPreconditionError
        If this machine has no Python 3.11 and none can be fetched, or the folder cannot be made.
    JobFailedError
        If pip cannot install the requirements.
    """
    requirements = requirements.absolute()
    folder = environment_folder(requirements)
    python = folder / "bin" / "python"
    if python.exists():
        return python
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Without locks, concurrent callers each make one.
        with locked(folder.with_name(f"{folder.name}.lock")):
            if not folder.exists():
                progress(Progress("packer"))
                _make(folder, requirements)
            elif not python.exists():
                # The Python that it was made with has been removed or moved.
                progress(Progress("packer"))
                shutil.rmtree(folder)
                _make(folder, requirements)
    except OSError as error:
        raise FailedPreconditionError(
            f"the environment that packs bundles cannot be made in {folder}: "
            f"{error.strerror or error}; make room there, or name another place with "
            "XDG_CACHE_HOME"
        ) from error
    return python


def _make(folder: Path, requirements: Path) -> None:
    sweep_leftovers(folder.parent)
    base = provide_interpreters([PYTHON_VERSION])[PYTHON_VERSION]
    with (
        contextlib.suppress(ConflictError),  # without file locks, another process was faster
        atomic_directory(folder) as staging,
    ):
        # Renaming breaks only the environment's scripts, which are not used.
        _run([str(base), "-I", "-m", "venv", str(staging)], folder.parent, "made")
        # Such a file is complete, and may be beyond what a package's metadata allows.
        pip = [
            f"{staging}/bin/python",
            "-I",
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--require-hashes",
        ]
        quiet = ["--no-input", "--disable-pip-version-check", "--no-warn-script-location"]
        wanted = ["--requirement", str(requirements)]
        _run([*pip, *quiet, *wanted], folder.parent, "filled with the packages that it needs")


def _run(command: list[str], folder: Path, what: str) -> None:
    environment = clean_environment()
    # Pants disables pip's configuration in subprocesses; here it has the package indexes.
    if environment.get("PIP_CONFIG_FILE") == os.devnull:
        del environment["PIP_CONFIG_FILE"]
    ended = run_program(command, environment, folder, errors_too=True)
    if ended.code == 0:
        return
    # For the job's log.
    sys.stderr.write(ended.output)
    lines = [line.strip() for line in ended.output.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    reason = f"it was killed by {ended.killed_by}" if ended.killed_by else " ".join(told[-2:])
    raise JobFailedError(
        f"the environment that packs bundles could not be {what}: {reason[:600]}; it is made by "
        "pip, with its settings on this machine (pip config list)"
    )
