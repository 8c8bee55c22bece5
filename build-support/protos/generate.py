"""Check the contracts in ``proto/``, and make their code and documentation anew.

``./pants run build-support/protos:generate`` formats the contracts, writes the Python code beside
them and the API reference in ``docs/``, and holds them against the rules of buf and the last
release. With ``--release VERSION`` it also keeps what they are now, as the release that later
changes must be compatible with.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

from protos import reference, toolchain

__all__ = ["check", "main", "released", "stale"]

ROOT = Path("proto")
REFERENCE = Path("docs/api-reference.md")
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def released(folder: Path) -> Path | None:
    """Return the descriptors of the last release, if there was any.

    Parameters
    ----------
    folder
        The root of the contracts, whose ``released`` folder has them as ``<version>.binpb``.
    """
    files = [file for file in folder.glob("released/*.binpb") if VERSION.fullmatch(file.stem)]
    return max(files, key=lambda file: [int(n) for n in file.stem.split(".")], default=None)


def check(folder: Path) -> None:
    """Hold the contracts against the rules and against the last release.

    Raises
    ------
    ToolError
        With every line at fault.
    """
    toolchain.buf(folder, "lint")
    last = released(folder)
    if last is not None:
        toolchain.buf(folder, "breaking", "--against", str(last.resolve()))


def stale(folder: Path, page: Path) -> list[str]:
    """Return which generated files are missing, left over, or not what the contracts make now.

    Parameters
    ----------
    folder
        The root of the contracts, with the generated code beside them.
    page
        The API reference.
    """
    with tempfile.TemporaryDirectory() as made:
        code = Path(made) / "code"
        code.mkdir()
        toolchain.generate(folder, code)
        new = {file.relative_to(code): file.read_bytes() for file in code.rglob("*_pb2*.py*")}
        new_page = reference.page(toolchain.describe(folder, Path(made)))
    old = {file.relative_to(folder): file.read_bytes() for file in folder.glob("ktt/**/*_pb2*.py*")}
    names = [
        str(name) for name in sorted(new.keys() | old.keys()) if new.get(name) != old.get(name)
    ]
    if not page.exists() or page.read_text() != new_page:
        names.append(page.name)
    return names


def write(folder: Path, page: Path) -> None:
    """Write the code and the page, and remove code whose contract is gone."""
    for file in folder.glob("ktt/**/*_pb2*.py*"):
        file.unlink()
    toolchain.generate(folder, folder)
    with tempfile.TemporaryDirectory() as scratch:
        page.write_text(reference.page(toolchain.describe(folder, Path(scratch))))


def main() -> int:
    """Format, check and generate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--release", metavar="VERSION", help="keep the contracts as this release")
    arguments = parser.parse_args()
    if not ROOT.is_dir():
        parser.error("found no proto/: start this in the root of the repository")
    if arguments.release and not VERSION.fullmatch(arguments.release):
        parser.error(f"{arguments.release} is no version such as 1.2.0")
    try:
        toolchain.buf(ROOT, "format", "--write")
        # Code first: the contract is being worked on, and what is wrong with it is said last.
        write(ROOT, REFERENCE)
        check(ROOT)
        if arguments.release:
            (ROOT / "released").mkdir(exist_ok=True)
            file = f"released/{arguments.release}.binpb"
            toolchain.buf(ROOT, "build", "--exclude-source-info", "--output", file)
            print(f"kept {ROOT / file}")
    except (toolchain.ToolError, reference.PageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(toolchain.contracts(ROOT))} contracts; their code and {REFERENCE} are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
