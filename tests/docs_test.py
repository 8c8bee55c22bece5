"""The commands of the docs work: every ``console`` block is run, page by page."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path.cwd()
PAGES = ["README.md", *sorted(str(page) for page in Path("docs").rglob("*.md")), "CONTRIBUTING.md"]


def commands(page: str) -> list[str]:
    """Return the ``$ `` lines of a page's console blocks."""
    blocks = re.findall(
        r"^```console\n(.*?)^```", Path(page).read_text(encoding="utf-8"), re.S | re.M
    )
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def links(page: str) -> list[str]:
    """Return the relative links of a page."""
    found = re.findall(r"\]\(([^)#]+)[^)]*\)", Path(page).read_text(encoding="utf-8"))
    return [link for link in found if "://" not in link]


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(c.startswith("./pants") for c in commands(page))]
)
def test_pants_commands_are_run_by_ci(page: str) -> None:
    """Pants cannot run inside its own sandbox; CI runs these commands letter for letter."""
    ci = Path(".ci/run").read_text(encoding="utf-8")
    missing = [
        command for command in commands(page) if command.startswith("./pants") and command not in ci
    ]
    assert missing == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any("ktt " in c for c in commands(page))]
)
def test_ktt_commands_succeed_in_order(page: str, tmp_path: Path) -> None:
    """Each page starts in a fresh folder that holds what the repository's root would."""
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples/products.csv", tmp_path / "examples/products.csv")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "error"}
    ktt = f'ktt() {{ {shlex.quote(sys.executable)} -m cli.main "$@"; }}\n'
    for command in commands(page):
        if command.startswith("./pants"):
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", ktt + command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{page}: $ {command}\n{done.stdout}{done.stderr}"
        assert done.stdout, f"{page}: $ {command} printed nothing"


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    broken = [link for link in links(page) if not (Path(page).parent / link).exists()]
    assert broken == []


def test_the_user_guide_has_commands() -> None:
    assert len(commands("docs/user-guide.md")) > 10
