"""Write down what pip's settings mean for Pants; run by `./pants` when those settings changed.

Usage: pip_settings.py FILE KEY

Pants starts its subprocesses without the user's environment and reads no pip configuration, so
indexes, find-links places and the certificate bundle are passed on as Pants options. FILE becomes
a piece of bash: the KEY the settings were worked out for, and a function with one
``ktt_set NAME VALUE`` per option. It may hold an index's password, so only its owner may read it.
Runs on Python 3.9 and with the standard library alone; pip itself need not be there.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT / "libs") not in sys.path:
    sys.path.append(str(ROOT / "libs"))

from ktt_core.errors import KttError  # noqa: E402
from ktt_core.interpreters.package_index import (  # noqa: E402
    PackageIndexes,
    as_url,
    certificates,
    says_yes,
)
from ktt_core.interpreters.pip_configuration import read_pip_settings  # noqa: E402

PYTORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
CPU_LOCK = ROOT / "3rdparty" / "python" / "cpu.lock"


def pants_options(pip: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Say in Pants' environment variables what pip's settings say.

    Parameters
    ----------
    pip
        Its settings.
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
    if says_yes(pip.get("no-index", "")):
        options["PANTS_PYTHON_REPOS_INDEXES"] = "[]"
    elif "index-url" in pip:
        options["PANTS_PYTHON_REPOS_INDEXES"] = str([pip["index-url"], *extra])
    elif extra:
        options["PANTS_PYTHON_REPOS_INDEXES"] = f"+{extra}"
    bundle = certificates(pip, environ)
    if os.path.isfile(bundle):
        options["PANTS_CA_CERTS_PATH"] = bundle
    return options


def torch_requirement(lock: str) -> str:
    """Return the exact torch in the text of the ``cpu`` lock, e.g. ``torch==2.13.0+cpu``."""
    found = re.search(r"^torch==\S+", lock, flags=re.MULTILINE)
    if found is None:
        sys.exit(f"ktt: error: {CPU_LOCK} names no torch; refresh it with 3rdparty/python/lock cpu")
    return found[0]


def torch_is_found(requirement: str, pip: Mapping[str, str], environ: Mapping[str, str]) -> bool:
    """Whether one of pip's places has that torch for CPython 3.11 on this kind of machine."""
    version = requirement.partition("==")[2]
    places = dict(pip)
    if "find-links" not in pip:
        places["extra-index-url"] = f"{pip.get('extra-index-url', '')} {PYTORCH_CPU_INDEX}"
    start, end = f"torch-{version}-cp311-", f"{platform.machine()}.whl"
    return any(
        link.name.startswith(start) and link.name.endswith(end)
        for _, links in PackageIndexes(places, environ).links("torch")
        if isinstance(links, list)
        for link in links
    )


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
    """Read pip's settings and write what Pants must know of them."""
    try:
        pip = read_pip_settings(os.environ)
        requirement = torch_requirement(CPU_LOCK.read_text())
        found = torch_is_found(requirement, pip, os.environ)
    except KttError as error:
        sys.exit(f"ktt: error: {error}")
    if not found:
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
