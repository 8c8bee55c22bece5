"""Setting Pants up: whole or not at all, and once even when two runs start together."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import setup_pants


@pytest.fixture
def fake_install(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Replace the installation by a note of it."""
    installed: list[Path] = []

    def install(folder: Path, pants_version: str, pex_version: str) -> None:
        installed.append(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ready").touch()

    monkeypatch.setattr(setup_pants, "install", install)
    return installed


def call(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr("sys.argv", ["setup_pants.py", str(folder), "2.17.1", "2.1.137"])
    setup_pants.main()


def test_it_installs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_install: list[Path]
) -> None:
    folder = tmp_path / "new" / "pants"
    call(monkeypatch, folder)
    call(monkeypatch, folder)
    assert fake_install == [folder]


def test_a_folder_without_its_last_file_is_installed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_install: list[Path]
) -> None:
    (tmp_path / "pants" / "venv").mkdir(parents=True)
    call(monkeypatch, tmp_path / "pants")
    assert fake_install == [tmp_path / "pants"]


def test_two_first_runs_take_turns(tmp_path: Path) -> None:
    """Each would note its start and its end; the second must find the first one's work done."""
    program = (
        "import pathlib, sys, time, setup_pants\n"
        "def install(folder, *versions):\n"
        "    with (folder.parent / 'notes').open('a') as notes: notes.write('install\\n')\n"
        "    time.sleep(0.5)\n"
        "    folder.mkdir(); (folder / 'ready').touch()\n"
        "setup_pants.install = install\n"
        "setup_pants.main()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "pants"), "2.17.1", "2.1.137"]
    environment = {**os.environ, "PYTHONPATH": str(Path(setup_pants.__file__).parent)}
    runs = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [run.communicate(timeout=60)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert (tmp_path / "notes").read_text() == "install\n"


def test_a_command_that_fails_ends_with_its_own_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('no such index'); sys.exit(3)"]
    with pytest.raises(SystemExit, match="(?s)installing Pants failed with code 3.*no such index"):
        setup_pants.run(command, tmp_path / "setup.log", "installing Pants")


def test_the_pex_program_is_described_as_pants_checks_it(tmp_path: Path) -> None:
    program = tmp_path / "pex"
    program.write_bytes(b"abc")
    program.chmod(stat.S_IRWXU)
    version, platform, digest, size = setup_pants.known_pex_version(program, "1.2").split("|")
    assert (version, size) == ("v1.2", "3")
    assert platform.startswith(("linux_", "macos_"))
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
