"""Install Pants, and build the Pex program it drives, in a private folder.

Usage: setup_pants.py FOLDER PANTS_VERSION PEX_VERSION

Run by `./pants` with Python 3.9. The folder counts only once its file `ready` is there, which is
written last: a set-up that was stopped is done again.
Two first runs at the same time take turns, and the second finds everything in place.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

_LAST_LINES = 15


def say(message: str) -> None:
    """Print one line of progress where it does not mix with the output of Pants."""
    print(f"ktt: {message}", file=sys.stderr, flush=True)


def run(command: list[str], log: Path, what: str) -> None:
    """Run a command with its output in ``log``; exit with the end of that output if it fails."""
    # Pex keeps what it builds from in a folder of its own, by default in the user's home.
    environment = {**os.environ, "PEX_ROOT": str(log.parent / "pex-root")}
    with log.open("ab") as output:
        code = subprocess.call(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    if code:
        last = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        sys.exit(
            "\n  ".join(
                [
                    f"ktt: error: {what} failed with code {code}.",
                    f"The whole output is in {log}; its end:",
                    *last,
                    "Pip's own settings were used (`pip config list`, PIP_INDEX_URL ...): "
                    "is the index reachable with them? The next run starts the set-up again.",
                ]
            )
        )


def known_pex_version(pex: Path, version: str) -> str:
    """Describe the Pex program as Pants checks it: version, platform, SHA-256, bytes."""
    content = pex.read_bytes()
    system = {"Linux": "linux", "Darwin": "macos"}[platform.system()]
    machine = {"aarch64": "arm64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    digest = hashlib.sha256(content).hexdigest()
    return f"v{version}|{system}_{machine}|{digest}|{len(content)}"


def install(folder: Path, pants_version: str, pex_version: str) -> None:
    """Make the environment and the Pex program in ``folder``, which is emptied first."""
    say(f"first run: setting up Pants {pants_version} in {folder}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    log = folder / "setup.log"
    say(f"  [1/3] a virtual environment of {sys.executable}")
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    say("  [2/3] Pants from the package index (about 20 MB)")
    requirements = [f"pantsbuild.pants=={pants_version}", f"pex=={pex_version}"]
    pip = [str(programs / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run([*pip, "install", *requirements], log, "installing Pants")
    say("  [3/3] the Pex program that Pants builds environments with")
    pex = folder / "pex"
    # Pex heeds none of pip's settings, so pip fetches what it is made of.
    wheels = folder / "wheels"
    run(
        [*pip, "download", "--no-deps", "--dest", str(wheels), requirements[1]], log, "fetching Pex"
    )
    build = [str(programs / "pex"), requirements[1], "--no-index", "--find-links", str(wheels)]
    build += ["-c", "pex", "-o", str(pex), "--sh-boot"]
    run(build, log, "building the Pex program")
    for scratch in (wheels, folder / "pex-root"):
        shutil.rmtree(scratch, ignore_errors=True)
    # Pants would download this program from its release page; built from the index it is the same.
    known_versions = str([known_pex_version(pex, pex_version)])
    (folder / "pex.sh").write_text(
        f"ktt_set PANTS_PEX_CLI_URL_TEMPLATE {shlex.quote(pex.as_uri())}\n"
        f"ktt_set PANTS_PEX_CLI_KNOWN_VERSIONS {shlex.quote(known_versions)}\n"
    )
    (folder / "ready").touch()
    say("  done. A command fetches what else it needs when it first runs.")


def main() -> None:
    """Set Pants up unless another run has done so in the meantime."""
    folder = Path(sys.argv[1])
    try:
        set_up(folder, *sys.argv[2:4])
    except OSError as error:
        sys.exit(
            f"ktt: error: Pants cannot be set up in {folder}: {error.strerror or error}. Make room "
            "there, or let XDG_CACHE_HOME name another place."
        )


def set_up(folder: Path, pants_version: str, pex_version: str) -> None:
    """Install Pants in a folder, or wait for who does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another run that is setting Pants up")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            install(folder, pants_version, pex_version)


if __name__ == "__main__":
    main()
