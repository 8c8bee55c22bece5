"""The Tab key, in the shells themselves: `ktt` as an alias, as the user guide makes it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Ktt, environment
from terminal import Terminal

SHELLS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
# What a user's own start-up files do.
BEFORE = {"zsh": "autoload -Uz compinit; compinit -u -D; "}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return the path of a program that is `ktt`, as the packaged one is: not on PATH."""
    path = tmp_path / "dist" / "ktt.pex" / "__main__.py"
    path.parent.mkdir(parents=True)
    found = shlex.quote(environment()["PYTHONPATH"])
    path.write_text(
        f'#!/bin/sh\nPYTHONPATH={found} exec {shlex.quote(sys.executable)} -m cli.main "$@"\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def trained_shop(ktt: Ktt, shop: str) -> str:
    """Train one model on the dataset "shop"."""
    assert ktt("train", shop, "-m", "tfidf_hsgd", "-e", "1").code == 0
    return shop


def start(shell: str, program: Path, workspace: Path, alias: str) -> Terminal:
    """Start a shell with the alias and the script."""
    found = shutil.which(shell)
    if found is None and shell != "bash":
        pytest.skip(f"there is no {shell} here")
    assert found is not None
    terminal = Terminal([found, *SHELLS[shell]], KTT_WORKSPACE=str(workspace), PS1="$ ")
    script = program.parent / f"completion.{shell}"
    with script.open("wb") as output:
        subprocess.run([program, "completion", shell], stdout=output, check=True)
    terminal.type(f"{BEFORE.get(shell, '')}alias ktt={shlex.quote(alias)}; source {script}\n")
    terminal.type("echo re''ady\n")
    terminal.wait_for("ready")
    return terminal


@pytest.mark.parametrize("shell", SHELLS)
def test_an_aliased_ktt_completes_what_there_is(
    trained_shop: str, program: Path, workspace: Path, shell: str
) -> None:
    terminal = start(shell, program, workspace, str(program))
    terminal.type("ktt pred\t")
    terminal.wait_for("predict ")
    terminal.type("sh\t")
    terminal.wait_for("shop ")
    # Of the models, one alone is trained.
    terminal.type("-m tf\t")
    terminal.wait_for("tfidf_hsgd ")
    # Bash takes a time for three words.
    time = next(workspace.rglob("best_*")).name.removeprefix("best_").partition(".")[0]
    terminal.type(f"-t {time[:14]}\t")
    terminal.wait_for(time[14:])
    terminal.close()


@pytest.mark.parametrize("shell", SHELLS)
def test_options_of_the_alias_count(
    ktt: Ktt, shop: str, program: Path, workspace: Path, shell: str
) -> None:
    elsewhere = workspace.parent / "elsewhere"
    terminal = start(shell, program, elsewhere, f"{program} --workspace {workspace}")
    terminal.type("ktt data show --js\t")
    terminal.wait_for("--json ")
    terminal.type("sh\t")
    terminal.wait_for("shop ")
    terminal.close()


def test_a_list_goes_on_with_what_is_not_in_it(
    ktt: Ktt, shop: str, program: Path, workspace: Path
) -> None:
    terminal = start("bash", program, workspace, str(program))
    terminal.type("ktt train shop --models=tfidf_hsgd,tfi\t")
    terminal.wait_for("tfidf_hsgd,tfidf_lsgd ")
    terminal.close()
