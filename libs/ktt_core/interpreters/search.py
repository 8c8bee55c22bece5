"""Which Pythons are on this machine."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cache_folder", "clean_environment", "find_interpreter", "managed_folder"]

# Whole: Debian and its kin keep the first two apart from the rest.
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
    """Return where KTT keeps what it makes once for this user."""
    cache = os.environ.get("XDG_CACHE_HOME") or ""
    # As the specification has it: a path that is not absolute does not count.
    parent = Path(cache) if os.path.isabs(cache) else Path.home() / ".cache"
    return parent / "ktt"


def managed_folder() -> Path:
    """Return where KTT keeps the Pythons that it has fetched."""
    return cache_folder() / "pythons"


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what says where Python finds its modules."""
    return {
        name: value
        for name, value in os.environ.items()
        if name == "PEX_ROOT"
        or not name.startswith(("PEX_", "__PEX", "PYTHON", "VIRTUAL_ENV", "_PEX"))
    }


def find_interpreter(version: str) -> Path | None:
    """Return a CPython X.Y that starts and can make environments, or None.

    It is looked for on the ``PATH``, among pyenv's versions, switched on or not, among uv's, and
    among those that KTT has fetched.

    Parameters
    ----------
    version : str
        Such as "3.10".
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
    # pyenv's shims are there for versions that are switched off, too.
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
