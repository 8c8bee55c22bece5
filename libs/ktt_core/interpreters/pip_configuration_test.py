"""pip's settings are read as pip itself reads them."""

from __future__ import annotations

import ast
import ensurepip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ktt_core.errors import FailedPreconditionError
from ktt_core.interpreters.package_index import PackageIndexes
from ktt_core.interpreters.pip_configuration import read_pip_settings
from ktt_core.interpreters.uv import PINS, pinned_hashes, pinned_version, wheel_fits

(PIP,) = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")


def said_by_pip(environment: dict[str, str]) -> dict[str, str]:
    command = [sys.executable, "-I", str(PIP / "pip"), "config", "list"]
    output = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    settings: dict[str, str] = {}
    for section in ("global", "install", ":env:"):
        for line in output.splitlines():
            name, _, value = line.partition("=")
            # It also lists empty settings, which an installation ignores.
            if name.startswith(f"{section}.") and ast.literal_eval(value):
                settings[name[len(section) + 1 :]] = ast.literal_eval(value)
    return settings


CASES = {
    "files": {"etc": "[global]\nindex-url=a\ncert=/c\n", "user": "[global]\nindex-url = b\n"},
    "sections": {"etc": "[install]\nindex_url=i\n", "user": "[global]\nindex-url=g\nTimeout: 3\n"},
    "legacy": {"legacy": "[global]\nproxy=p\ncert=c\n", "user": "[global]\nproxy=q\n"},
    "lines": {"user": "[global]\nfind-links =\n  /a b\n  https://h.example/%40x\n; no\n"},
    "others": {"user": "[download]\nfind-links=/x\n[global]\nno-index=\n--timeout=4\n"},
    "named": {"user": "[global]\ncert=/u\n", "named": "[global]\nproxy=n\n"},
}


@pytest.mark.parametrize(
    "variables", [{}, {"PIP_CERT": "/v", "PIP_INDEX_URL": "", "PIP_PROXY": "v"}]
)
@pytest.mark.parametrize("case", CASES)
def test_settings_equal_those_of_pip(tmp_path: Path, case: str, variables: dict[str, str]) -> None:
    home = tmp_path / "home"
    files = {
        "etc": tmp_path / "etc/pip/pip.conf",
        "user": home / ".config/pip/pip.conf",
        "legacy": home / ".pip/pip.conf",
        "named": tmp_path / "named.conf",
    }
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "XDG_CONFIG_DIRS": str(tmp_path / "etc"),
        **variables,
    }
    home.mkdir()
    for name, text in CASES[case].items():
        files[name].parent.mkdir(parents=True, exist_ok=True)
        files[name].write_text(text)
        if name == "named":
            environment["PIP_CONFIG_FILE"] = str(files[name])
    told = said_by_pip(environment)
    read = read_pip_settings(environment)
    # Settings of this machine's global configuration are in both.
    assert {**read, "config-file": ""} == {**told, "config-file": ""}
    environment["PIP_CONFIG_FILE"] = os.devnull
    assert set(read_pip_settings(environment)) <= {"cert", "proxy", "config-file"}


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("index-url = without a section\n")
    with pytest.raises(FailedPreconditionError, match=str(file)):
        read_pip_settings({"PIP_CONFIG_FILE": str(file), "HOME": str(tmp_path)})


def test_without_settings_pip_is_asked_for_its_index() -> None:
    (place,) = PackageIndexes({}, {"HOME": "/nowhere"}).places
    assert place.startswith("https://")


def test_uv_is_pinned_for_all_supported_platforms() -> None:
    text = PINS.read_text()
    assert len(pinned_hashes(text)) > 10
    version = pinned_version(text)
    tags = "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64"
    name = f"uv-{version}-py3-none-{tags}.whl"
    assert wheel_fits(name, version, "manylinux", "aarch64")
    assert wheel_fits(name, version, "musllinux", "aarch64")
    assert not wheel_fits(name, version, "manylinux", "x86_64")
    assert not wheel_fits(name, "9.9.9", "manylinux", "aarch64")
    assert not wheel_fits(f"uv-{version}.tar.gz", version, "manylinux", "aarch64")
