"""Write down what pip's settings mean for Pants; run by `./pants` when those settings changed.

Usage: pip_settings.py FILE KEY

Pants starts its subprocesses without the user's environment and reads no pip configuration, so
indexes, find-links places and the certificate bundle are passed on as Pants options. FILE becomes
a piece of bash: the KEY the settings were worked out for, and a function with one
``ktt_set NAME VALUE`` per option. It may hold an index's password, so only its owner may read it.
Runs on Python 3.9 and with the standard library alone.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_LOCK = Path(__file__).resolve().parent.parent / "3rdparty" / "python" / "cpu.lock"


def parse_config_list(output: str) -> dict[str, str]:
    """Read the output of ``pip config list`` as the settings that ``pip install`` would use.

    Parameters
    ----------
    output
        Lines like ``global.cert='/etc/ssl/cert.pem'``. A key of ``[install]`` beats
        one of ``[global]``, and an environment variable (``:env:``) beats both.

    Returns
    -------
    dict
        Setting name (``index-url``) to its value.
    """
    settings: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in output.splitlines():
            name, separator, value = line.partition("=")
            if separator and name.startswith(section + "."):
                settings[name[len(section) + 1 :]] = str(ast.literal_eval(value))
    return settings


def as_url(place: str) -> str:
    """Turn a find-links place into the absolute URL that Pants wants; URLs stay as they are."""
    if urlsplit(place).scheme:
        return place
    return Path(os.path.abspath(os.path.expanduser(place))).as_uri()


def pants_options(pip: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Say in Pants' environment variables what pip's settings say.

    Parameters
    ----------
    pip
        Settings as :func:`parse_config_list` returns them.
    environ
        The environment: ``REQUESTS_CA_BUNDLE`` is the certificate bundle when pip names none.

    Returns
    -------
    dict
        Variable name to value. The indexes extend Pants' default one unless pip replaces that.
    """
    options: dict[str, str] = {}
    extra = pip.get("extra-index-url", "").split()
    places = [as_url(place) for place in pip.get("find-links", "").split()]
    if places:
        options["PANTS_PYTHON_REPOS_FIND_LINKS"] = str(places)
    else:
        extra.append(PYTORCH_CPU_INDEX)
    if pip.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        options["PANTS_PYTHON_REPOS_INDEXES"] = "[]"
    elif "index-url" in pip:
        options["PANTS_PYTHON_REPOS_INDEXES"] = str([pip["index-url"], *extra])
    elif extra:
        options["PANTS_PYTHON_REPOS_INDEXES"] = f"+{extra}"
    bundle = pip.get("cert") or environ.get("REQUESTS_CA_BUNDLE")
    if bundle and os.path.isfile(bundle):
        options["PANTS_CA_CERTS_PATH"] = os.path.abspath(bundle)
    return options


def torch_requirement(lock: str) -> str:
    """Return the exact torch in the text of the ``cpu`` lock, e.g. ``torch==2.13.0+cpu``."""
    found = re.search(r"^torch==\S+", lock, flags=re.MULTILINE)
    if found is None:
        sys.exit(f"ktt: error: {CPU_LOCK} names no torch; refresh it with 3rdparty/python/lock cpu")
    return found[0]


def torch_is_found(requirement: str, pip: Mapping[str, str]) -> bool:
    """Whether pip's find-links folders hold that torch, or else any of its indexes lists it."""
    version = requirement.partition("==")[2]
    for place in pip.get("find-links", "").split():
        folder = Path(
            urlsplit(place).path if place.startswith("file:") else os.path.expanduser(place)
        )
        if folder.is_dir() and any(folder.glob(f"torch-{version}-*.whl")):
            return True
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    command += ["index", "versions", "torch", "--python-version", "3.11", "--only-binary", ":all:"]
    if "find-links" not in pip:
        command += ["--extra-index-url", PYTORCH_CPU_INDEX]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return re.search(rf"(?<![\w.]){re.escape(version)}(?![\w.+])", answer.stdout) is not None


def write_settings(path: Path, key: str, options: Mapping[str, str]) -> None:
    """Write the settings whole or not at all, readable by their owner alone."""
    calls = [f"  ktt_set {name} {shlex.quote(value)}" for name, value in options.items()]
    lines = [f"settings_of={shlex.quote(key)}", "apply_settings() {", "  :", *calls, "}"]
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, scratch = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(descriptor, "w") as output:
        output.write("\n".join(lines) + "\n")
    os.replace(scratch, path)


def main() -> None:
    """Ask pip for its settings and write what Pants must know of them."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if answer.returncode:
        sys.exit(
            "ktt: error: `pip config list` failed, see above: "
            "is one of pip's configuration files broken?"
        )
    pip = parse_config_list(answer.stdout)
    requirement = torch_requirement(CPU_LOCK.read_text())
    if not torch_is_found(requirement, pip):
        sys.stderr.write(
            f"ktt: warning: {requirement} (PyTorch without CUDA) is in none of pip's places.\n"
            "  Whatever needs torch will fail until it is. Download that wheel for CPython 3.11\n"
            "  from PyTorch and let PIP_FIND_LINKS (or find-links in pip's configuration) name\n"
            "  its folder, or let PIP_EXTRA_INDEX_URL name an index that has it, such as\n"
            f"  {PYTORCH_CPU_INDEX}.\n"
        )
    write_settings(Path(sys.argv[1]), sys.argv[2], pants_options(pip, os.environ))


if __name__ == "__main__":
    main()
