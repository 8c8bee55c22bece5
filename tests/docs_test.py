"""The commands of the docs work: every ``console`` block is run, page by page."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Server, running

ROOT = Path.cwd()
PAGES = ["README.md", *sorted(str(page) for page in Path("docs").rglob("*.md")), "CONTRIBUTING.md"]


def commands(page: str) -> list[str]:
    """Return the ``$ `` lines of a page's console blocks."""
    blocks = re.findall(
        r"^```console\n(.*?)^```", Path(page).read_text(encoding="utf-8"), re.S | re.M
    )
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def servers(page: str, folder: Path) -> dict[int, Server]:
    """Return the services that a page says to start, each in a terminal, by their usual ports."""
    text = Path(page).read_text(encoding="utf-8")
    started = {}
    for service, options in re.findall(
        r"^\./pants run services/(trainer|exporter):main -- --workspace workspace(.*)$", text, re.M
    ):
        port = {"trainer": 50051, "exporter": 50052}[service]
        started[port] = Server(service, folder / "workspace", *shlex.split(options))
    return started


def shell(found: dict[int, Server]) -> str:
    """Return what makes the page's commands find the code, and the services on their ports here."""
    arguments = "$@"
    lines = ["there() {", '  local args=("$@")']
    for port, server in found.items():
        lines.append(f'  args=("${{args[@]/#localhost:{port}/localhost:{server.port}}}")')
        if port == 50051:
            lines.append(f'  args=("${{args[@]/%localhost/localhost:{server.port}}}")')
        else:
            lines.append(f"  export KTT_EXPORTER_ADDRESS={server.address}")
    python = shlex.quote(sys.executable)
    lines += [
        f'  {python} "${{args[@]}}"',
        "}",
        f'ktt() {{ there -m cli.main "{arguments}"; }}',
        f'python() {{ there "{arguments}"; }}',
    ]
    return "\n".join(lines) + "\n"


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
    for name in ("products.csv", "onnx_predict.py", "client.py"):
        shutil.copy(ROOT / "examples" / name, tmp_path / "examples" / name)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "error"}
    found = servers(page, tmp_path)
    with running(*found.values()) if found else contextlib.nullcontext():
        for command in commands(page):
            if command.startswith("./pants"):
                continue
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", shell(found) + command],
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


def test_the_user_guide_has_commands_and_services(tmp_path: Path) -> None:
    assert len(commands("docs/user-guide.md")) > 10
    assert set(servers("docs/user-guide.md", tmp_path)) == {50051, 50052}
