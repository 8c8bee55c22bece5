"""Search for Python interpreters on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cache_folder", "clean_environment", "find_interpreter", "managed_folder"]

# Checks for a complete Python: Debian packages ensurepip and venv separately.
_PROBE = """
import sys
if "%d.%d" % sys.version_info[:2] != sys.argv[1]:
    sys.exit(1)
import ensurepip, venv
import ssl, zlib
if sys.version_info < (3, 12):
    import distutils.core
"""
_PROBE_SECONDS = 60


def cache_folder() -> Path:
    """Return the folder of files that are made once per user."""
    cache = os.environ.get("XDG_CACHE_HOME") or ""
    # According to the XDG specification, relative paths are ignored.
    parent = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    return parent / "ktt"


def managed_folder() -> Path:
    """Return the folder of Pythons that KTT has fetched."""
    return cache_folder() / "pythons"


def clean_environment() -> dict[str, str]:
    """Return this process's environment without variables that change Python's module search."""
    return {
        name: value
        for name, value in os.environ.items()
        if name == "PEX_ROOT"
        or not name.startswith(("PEX_", "__PEX", "PYTHON", "VIRTUAL_ENV", "_PEX"))
    }


def find_interpreter(version: str) -> Path | None:
    """Return a working CPython X.Y that can make environments, or None.

    Searches the ``PATH``, pyenv's versions, also inactive ones, uv's, and those that KTT has
    fetched.

    Parameters
    ----------
    version : str
        Such as "3.11".
    """
    return next((python for python in _candidates(version) if _works(python, version)), None)


def _candidates(version: str) -> Iterator[Path]:
    name = f"python{version}"
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if place and os.access(Path(place, name), os.X_OK):
            yield Path(place, name)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}*/bin/{name}"), reverse=True)
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    users = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python")
    for folder in (users, managed_folder()):
        yield from sorted(folder.glob(f"cpython-{version}.*/bin/{name}"), reverse=True)


def _works(python: Path, version: str) -> bool:
    # pyenv has shims for inactive versions, too.
    try:
        done = subprocess.run(
            [str(python), "-I", "-W", "ignore", "-c", _PROBE, version],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=clean_environment(),
            check=False,
            timeout=_PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
