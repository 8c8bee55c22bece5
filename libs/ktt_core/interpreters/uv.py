"""The program uv, installed from the package index into the user's cache, without pip.

Its version and the hashes of its wheels are pinned in ``uv.txt``, which `3rdparty/python/lock`
refreshes. Only a wheel with one of those hashes is unpacked.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from ktt_core.atomic import atomic_directory
from ktt_core.errors import FailedPreconditionError, UnavailableError
from ktt_core.interpreters.package_index import Link, PackageIndexes, copy, without_password

__all__ = ["PINS", "install_uv", "pinned_hashes", "pinned_version", "wheel_fits"]

PINS = Path(__file__).with_name("uv.txt")

_MAX_WHEEL = 200_000_000


def pinned_version(pins: str) -> str:
    """Return the version pinned in the text of ``uv.txt``."""
    found = re.search(r"^uv==(\S+)", pins, flags=re.MULTILINE)
    if found is None:
        raise FailedPreconditionError(f"{PINS} pins no uv: restore that file")
    return found[1]


def pinned_hashes(pins: str) -> frozenset[str]:
    """Return the SHA-256 digests of all files of that version."""
    return frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", pins))


def wheel_fits(name: str, version: str, libc: str, machine: str) -> bool:
    """Whether a file is uv's wheel for a platform.

    Parameters
    ----------
    name : str
        The file's name.
    version : str
        Version of uv.
    libc : {"manylinux", "musllinux", "macosx"}
        Prefix of the platform tag.
    machine : str
        Suffix of the platform tag: "x86_64", "aarch64", "arm64".
    """
    start = f"uv-{version}-py3-none-"
    if not name.startswith(start) or not name.endswith(".whl"):
        return False
    tags = name[len(start) : -len(".whl")].split(".")
    return any(tag.startswith(libc) and tag.endswith(f"_{machine}") for tag in tags)


def install_uv(folder: Path, indexes: PackageIndexes, pins: str) -> Path:
    """Return the pinned uv, fetched into a subfolder of `folder` if missing.

    Raises
    ------
    FailedPreconditionError
        If no index has it for this platform.
    """
    version, hashes = pinned_version(pins), pinned_hashes(pins)
    home = folder / f"uv-wheel-{version}"
    program = home / "uv"
    if program.is_file():
        return program
    problems: list[str] = []
    fitting: list[Link] = []
    for place, links in indexes.links("uv"):
        if isinstance(links, UnavailableError):
            problems.append(str(links))
            continue
        found = [link for link in links if wheel_fits(link.name, version, *_this_machine())]
        if not found:
            problems.append(f"{place}: has no wheel of uv {version} for this machine")
        fitting += found
    for link in fitting:
        try:
            _unpack(link, indexes, hashes, home)
            return program
        except (UnavailableError, zipfile.BadZipFile) as error:
            problems.append(str(error))
    raise FailedPreconditionError(
        "\n  ".join([f"uv {version} cannot be had from the package index:", *_distinct(problems)])
    )


def _distinct(lines: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(lines))


def _this_machine() -> tuple[str, str]:
    if sys.platform == "darwin":
        return "macosx", platform.machine()
    libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return libc, platform.machine()


def _unpack(link: Link, indexes: PackageIndexes, hashes: frozenset[str], home: Path) -> None:
    plain = without_password(link.url)
    wrong = f"{plain}: is not the file whose hash is pinned"
    if link.sha256 and link.sha256 not in hashes:
        raise UnavailableError(wrong)
    with tempfile.TemporaryFile() as wheel:
        with indexes.open(link.url) as answer:
            copy(answer, wheel, _MAX_WHEEL)
        wheel.seek(0)
        digest = hashlib.sha256()
        while block := wheel.read(1 << 20):
            digest.update(block)
        if digest.hexdigest() not in hashes:
            raise UnavailableError(wrong)
        if home.exists():
            shutil.rmtree(home)
        with zipfile.ZipFile(wheel) as archive, atomic_directory(home) as staging:
            inside = f"{'-'.join(link.name.split('-')[:2])}.data/scripts/uv"
            try:
                member = archive.open(inside)
            except KeyError as error:
                raise UnavailableError(f"{plain}: does not contain the program uv") from error
            with member as source, open(staging / "uv", "wb") as target:
                shutil.copyfileobj(source, target)
            os.chmod(staging / "uv", 0o755)
