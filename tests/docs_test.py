"""The commands of the docs work: every ``console`` block is run, page by page, as it is printed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path.cwd()
PAGES = ["README.md", *sorted(str(page) for page in Path("docs").rglob("*.md")), "CONTRIBUTING.md"]
PORTS = {"trainer": 50051, "exporter": 50052}

# Between two commands in what a page's shell prints.
MARK = "\x1e"

# Gives a shell the ports of a machine of its own, where the kernel lets a user have one.
PRIVATE_NETWORK = ["unshare", "--user", "--map-root-user", "--net"]
LOOPBACK_UP = """
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x41))  # SIOCSIFFLAGS
"""


def commands(page: str) -> list[str]:
    """Return the ``$ `` lines of a page's console blocks."""
    blocks = re.findall(
        r"^```console\n(.*?)^```", Path(page).read_text(encoding="utf-8"), re.S | re.M
    )
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def refusals(page: str) -> dict[str, str]:
    """Return the ``$ `` lines of a page that fail, with the errors that it prints below them."""
    text = Path(page).read_text(encoding="utf-8")
    return dict(re.findall(r"^\$ (.*)\n(Error: .*)$", text, re.M))


def servers(page: str) -> list[str]:
    """Return the commands with which a page says to start services, in a terminal each."""
    text = Path(page).read_text(encoding="utf-8")
    found = re.findall(
        r"^\./pants run services/(?:trainer|exporter):main -- --workspace workspace.*$", text, re.M
    )
    return list(dict.fromkeys(found))


def program(file: Path, script: str) -> None:
    file.write_text(f"#!/usr/bin/env bash\n{script}\n", encoding="utf-8")
    file.chmod(0o755)


def lay_out(root: Path) -> Path:
    """Make what the repository's root has for a reader, and return a folder of programs.

    `ktt` is the program that ``./pants package`` makes, `python` one that knows nothing of KTT, and
    `pants`, which cannot run inside its own sandbox, starts a service as it would.
    """
    for folder in ("examples", "proto"):
        shutil.copytree(ROOT / folder, root / folder)
    programs = root / "programs"
    programs.mkdir()
    code = f"PYTHONPATH={os.pathsep.join(sys.path)!r} exec {sys.executable!r}"
    program(programs / "ktt", f'{code} -m cli.main "$@"')
    program(programs / "python", f'exec {sys.executable!r} "$@"')
    program(
        root / "pants",
        'service=${2#services/} && test "$1 $3" = "run --" && shift 3 && '
        f'{code} -m "${{service/:/.}}" "$@"',
    )
    return programs


def script(page: str) -> str:
    """Return what a reader of the page types, each command behind a mark."""
    lines = ["exec 2>&1", "trap 'jobs=$(jobs -p); [ -z \"$jobs\" ] || kill $jobs; wait' EXIT"]
    started = servers(page)
    if started:
        lines.append(f"python -c '{LOOPBACK_UP}' || true")
    for command in started:
        service = command.split("/")[2].partition(":")[0]
        lines.append(f"{command} >{service}.log &")
        lines.append(
            f"for _ in $(seq 600); do "
            f"(: </dev/tcp/localhost/{PORTS[service]}) 2>/dev/null && break; "
            f"kill -0 $! || {{ cat {service}.log; exit 1; }}; sleep 0.1; done"
        )
    for number, command in enumerate(commands(page)):
        if not command.startswith("./pants"):
            lines += [f"printf '{MARK}{number} '", command]
    for number, command in enumerate(refusals(page), len(commands(page))):
        lines += [f"printf '{MARK}{number} '", f"! {command}"]
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
def test_commands_succeed_in_order_as_they_are_printed(page: str, tmp_path: Path) -> None:
    """One shell types them all, in a folder that holds what the repository's root does."""
    programs = lay_out(tmp_path)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("KTT_")},
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONWARNINGS": "error",
    }
    environment.pop("PYTHONPATH", None)
    shell = ["bash", "-euo", "pipefail", "-c", script(page)]
    if servers(page):
        shell = [*private_network(), *shell]
    done = subprocess.run(
        shell,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    printed = [part.split(" ", 1) for part in done.stdout.split(MARK)[1:]]
    assert printed, f"{page}: nothing was run\n{done.stdout}{done.stderr}"
    typed = [*commands(page), *refusals(page)]
    last = typed[int(printed[-1][0])]
    assert done.returncode == 0, f"{page}: $ {last}\n{printed[-1][1]}{done.stderr}"
    silent = [typed[int(number)] for number, text in printed if not text.strip()]
    assert [
        command for command in silent if ">" not in command
    ] == [], f"{page}: they print nothing"
    answers = {typed[int(number)]: text for number, text in printed}
    for command, error in refusals(page).items():
        said = re.escape(error).replace(re.escape("..."), ".*")
        assert re.search(f"^{said}$", answers[command], re.M), f"{page}: $ {command}\n{answers}"


@pytest.mark.parametrize("page", ["docs/user-guide.md", "docs/dataset-format.md"])
def test_programs_that_read_what_ktt_writes_run_as_they_are_printed(
    page: str, tmp_path: Path
) -> None:
    """On the guide's own example, whose report has nothing to complain of."""
    programs = lay_out(tmp_path)
    text = Path(page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.S | re.M)
    assert blocks
    names = {name for block in blocks for name in re.findall(r"last_\S+_report\.html", block)}
    guide = commands("docs/user-guide.md")
    lines = [next(it for it in guide if it.startswith("ktt data import"))]
    if names:
        lines.append("ktt train products -m tfidf_hsgd")
    lines += [f"ktt report products -m tfidf_hsgd -o {name}" for name in names]
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.py").write_text(block, encoding="utf-8")
        lines.append(f"python {number}.py")
    subprocess.run(
        ["bash", "-euc", "\n".join(lines)],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        check=True,
    )


def private_network() -> list[str]:
    """Return what a command begins with that has all ports to itself.

    Where no user may have a network of its own, the machine's ports do, as long as they are free.
    """
    if subprocess.run([*PRIVATE_NETWORK, "true"], capture_output=True, check=False).returncode == 0:
        return PRIVATE_NETWORK
    if not any(is_taken(port) for port in PORTS.values()):
        return []
    pytest.skip(f"something else uses the ports that the page names: {PORTS}")


def is_taken(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("localhost", port)) == 0


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    broken = [link for link in links(page) if not (Path(page).parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_docs_lead_to_a_heading(page: str) -> None:
    broken = []
    text = Path(page).read_text(encoding="utf-8")
    for file, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text):
        target = (Path(page).parent / file) if file else Path(page)
        if target.suffix == ".md" and anchor not in anchors(target):
            broken.append(f"{file}#{anchor}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings get where Markdown is shown."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    titles = re.findall(r"^#+ +(.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles}


def test_the_user_guide_has_commands_and_services() -> None:
    assert len(commands("docs/user-guide.md")) > 10
    assert len(servers("docs/user-guide.md")) == len(PORTS)


def test_an_error_that_is_not_what_is_said_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    said = "```console\n$ ktt models\n```\n```\n$ ktt train no -m tfidf_hsgd\nError: {}\n```\n"
    page.write_text(said.format("there is no dataset 'no' in ...; ..."), encoding="utf-8")
    test_commands_succeed_in_order_as_they_are_printed(str(page), tmp_path / "right")
    page.write_text(said.format("no such dataset"), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"page\.md: \$ ktt train no"):
        test_commands_succeed_in_order_as_they_are_printed(str(page), tmp_path / "wrong")


def test_a_command_that_fails_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("```console\n$ ktt models\n$ ktt no-such-command\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"page\.md: \$ ktt no-such-command"):
        test_commands_succeed_in_order_as_they_are_printed(str(page), tmp_path / "root")
