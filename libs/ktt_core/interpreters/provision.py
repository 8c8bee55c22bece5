"""Provision of Python interpreters: existing ones are used, missing ones fetched with uv."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ktt_core.errors import FailedPreconditionError
from ktt_core.interpreters.package_index import PackageIndexes, certificates, without_password
from ktt_core.interpreters.pip_configuration import read_pip_settings
from ktt_core.interpreters.search import (
    cache_folder,
    clean_environment,
    find_interpreter,
    managed_folder,
)
from ktt_core.interpreters.uv import PINS, install_uv, pinned_version
from ktt_core.locks import locked

__all__ = ["DOWNLOADS_VARIABLE", "check_interpreter", "provide_interpreters"]

#: ``never`` keeps KTT from fetching Pythons.
DOWNLOADS_VARIABLE = "KTT_PYTHON_DOWNLOADS"

_SAY_EVERY = 30.0
_LAST_LINES = 12


def say(message: str) -> None:
    """Print one line on standard error, apart from a program's output."""
    print(f"ktt: {message}", file=sys.stderr, flush=True)


def check_interpreter(version: str, otherwise: str) -> None:
    """Fail early if a Python is missing and may not be fetched.

    Parameters
    ----------
    version : str
        Such as "3.11".
    otherwise : str
        An alternative, for the message.

    Raises
    ------
    FailedPreconditionError
    """
    if not _may_download() and find_interpreter(version) is None:
        raise FailedPreconditionError(f"{_refusal([version])}; {otherwise}")


def provide_interpreters(
    versions: Sequence[str], say: Callable[[str], None] = say
) -> dict[str, Path]:
    """Return a CPython of each version; missing ones are fetched first.

    Of concurrent callers one fetches, and the others wait.

    Parameters
    ----------
    versions : sequence of str
        Such as "3.11".
    say : callable
        Receives lines of progress.

    Raises
    ------
    FailedPreconditionError
        If one is missing, and may not or cannot be fetched.
    """
    found, missing = _search(versions)
    if not missing:
        return found
    if not _may_download():
        raise FailedPreconditionError(_refusal(missing))
    folder = managed_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Without file locks, uv uses its own.
        with locked(
            folder.with_name("pythons.lock"),
            waiting=lambda: say("waiting for another run that is fetching Pythons"),
        ):
            found, missing = _search(versions)
            if missing:
                _fetch(missing, folder, say)
                found, missing = _search(versions)
    except OSError as error:
        raise FailedPreconditionError(
            f"nothing can be written in {folder}: {error.strerror or error}; make room there, or "
            "let XDG_CACHE_HOME name another place for what is fetched"
        ) from error
    if missing:
        raise FailedPreconditionError(
            f"the {_names(missing)} that uv fetched into {folder} does not start on this machine: "
            f"{_alternatives(missing)}"
        )
    return found


def _search(versions: Sequence[str]) -> tuple[dict[str, Path], list[str]]:
    here = {version: find_interpreter(version) for version in versions}
    found = {version: python for version, python in here.items() if python is not None}
    return found, [version for version, python in here.items() if python is None]


def _may_download() -> bool:
    value = os.environ.get(DOWNLOADS_VARIABLE, "").strip().lower()
    if value not in ("", "automatic", "never"):
        raise FailedPreconditionError(
            f"{DOWNLOADS_VARIABLE}={value} is neither `automatic`, the default, nor `never`"
        )
    return value != "never"


def _names(versions: Sequence[str]) -> str:
    if len(versions) == 1:
        return f"Python {versions[0]}"
    return f"Python {', '.join(versions[:-1])} and {versions[-1]}"


def _alternatives(versions: Sequence[str]) -> str:
    text, last = " ".join(versions), versions[-1]
    return (
        f"get it with `pyenv install {text}`, with `uv python install {text}`, or from your "
        f"system's packages, such as python{last} and python{last}-venv"
    )


def _refusal(missing: Sequence[str]) -> str:
    return (
        f"found no whole {_names(missing)} on PATH, among pyenv's versions or uv's, and "
        f"{DOWNLOADS_VARIABLE}=never forbids to fetch it: {_alternatives(missing)}"
    )


def _fetch(missing: Sequence[str], folder: Path, say: Callable[[str], None]) -> None:
    settings = read_pip_settings(os.environ)
    indexes = PackageIndexes(settings, os.environ)
    pins = PINS.read_text(encoding="utf-8")
    mirror = os.environ.get("UV_PYTHON_INSTALL_MIRROR", "")
    say(
        f"{_names(missing)} {'is' if len(missing) == 1 else 'are'} not on this machine: fetching "
        f"uv {pinned_version(pins)} (18 MB) from {' and '.join(indexes.places) or 'nowhere'}, and "
        f"with it the interpreters (about 30 MB each) from "
        f"{without_password(mirror) or 'python-build-standalone'}, into {folder} "
        f"({DOWNLOADS_VARIABLE}=never forbids it)"
    )
    uv = install_uv(cache_folder(), indexes, pins)
    command = [str(uv), "python", "install", "--no-cache", "--no-bin", "--install-dir", str(folder)]
    ended, output = _run([*command, *missing], _uv_environment(settings), folder, say)
    if ended:
        raise FailedPreconditionError(
            "\n  ".join(
                [
                    f"uv could not fetch {_names(missing)}:",
                    *output.splitlines()[-_LAST_LINES:],
                    "UV_PYTHON_INSTALL_MIRROR names another place to fetch from, HTTPS_PROXY a "
                    f"proxy; or {_alternatives(missing)}",
                ]
            )
        )


def _uv_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return uv's environment variables, so that it reaches its source as pip would."""
    environment = {**clean_environment(), "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    trusted = certificates(settings, os.environ)
    if trusted:
        environment.setdefault(
            "SSL_CERT_DIR" if os.path.isdir(trusted) else "SSL_CERT_FILE", trusted
        )
    if proxy := settings.get("proxy"):
        environment.setdefault("HTTPS_PROXY", proxy)
    return environment


def _run(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, say: Callable[[str], None]
) -> tuple[int, str]:
    """Run a program to its end, with an occasional line of progress."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=folder,
        ) as process:
            try:
                while True:
                    try:
                        code = process.wait(_SAY_EVERY)
                        break
                    except subprocess.TimeoutExpired:
                        say(f"  still fetching, for {time.monotonic() - started:.0f} s")
            except BaseException:
                process.kill()
                raise
        output.seek(0)
        return code, output.read().decode("utf-8", "replace")
