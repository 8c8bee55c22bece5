"""A place for uv to fetch Pythons from, made of Pythons that this machine has: for tests.

uv knows the hashes of the interpreters that it fetches, so a mirror of home-made ones comes with a
list of its own. Runs on Python 3.9 and with the standard library alone.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

__all__ = ["write_mirror"]

_DATE = "20250101"
# uv puts the mirror in the place of this.
_SOURCE = "https://github.com/astral-sh/python-build-standalone/releases/download"
_LEFT_OUT = ("test", "tests", "site-packages", "idlelib", "tkinter", "turtledemo", "__pycache__")


def write_mirror(folder: Path, pythons: Iterable[Path], at: Path | None = None) -> dict[str, str]:
    """Write the mirror; return the variables that let uv use it.

    Parameters
    ----------
    folder : Path
        Where it is written.
    pythons : iterable of Path
        Interpreters, each in a tree of its own, such as pyenv's.
    at : Path, optional
        Where the folder will be when it is used.
    """
    machine = platform.machine()
    known = {}
    (folder / _DATE).mkdir(parents=True)
    for python in pythons:
        code = "import platform, sys; print(platform.python_version(), sys.base_prefix)"
        answer = subprocess.run(
            [str(python), "-I", "-c", code], check=True, stdout=subprocess.PIPE, text=True
        )
        version, _, prefix = answer.stdout.strip().partition(" ")
        name = f"cpython-{version}+{_DATE}-{machine}-unknown-linux-gnu-install_only_stripped.tar.gz"
        file = folder / _DATE / name
        pack(Path(prefix), version, file)
        major, minor, patch = map(int, version.split("."))
        known[f"cpython-{version}-linux-{machine}-gnu"] = {
            "name": "cpython",
            "arch": {"family": machine, "variant": None},
            "os": "linux",
            "libc": "gnu",
            "major": major,
            "minor": minor,
            "patch": patch,
            "prerelease": "",
            "url": f"{_SOURCE}/{_DATE}/{name.replace('+', '%2B')}",
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "variant": None,
            "build": _DATE,
        }
    (folder / "downloads.json").write_text(json.dumps(known))
    place = at or folder.absolute()
    return {
        "UV_PYTHON_INSTALL_MIRROR": place.as_uri(),
        "UV_PYTHON_DOWNLOADS_JSON_URL": (place / "downloads.json").as_uri(),
    }


def pack(prefix: Path, version: str, file: Path) -> None:
    """Pack what a Python needs to run and to make environments."""
    short = version.rpartition(".")[0]

    def wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = member.name.split("/")
        left_out = any(part in _LEFT_OUT or part.startswith("config-3") for part in parts[3:])
        return None if left_out or parts[-1].endswith(".a") else member

    with tarfile.open(file, "w:gz", compresslevel=1) as archive:
        for name in (f"python{short}", "python3"):
            archive.add(prefix / "bin" / name, f"python/bin/{name}")
        archive.add(prefix / "lib" / f"python{short}", f"python/lib/python{short}", filter=wanted)
        for library in sorted((prefix / "lib").glob(f"libpython{short}.so*")):
            archive.add(library, f"python/lib/{library.name}")
