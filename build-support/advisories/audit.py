"""Compare the list of advisories with a database, and write the table in the docs anew.

``./pants run build-support/advisories:audit`` asks the database OSV, through pip-audit, about every
pin and about each entry of the list: what it knows is confirmed, and what is new is added.
``-- --offline`` asks nobody, and writes the table alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import Version

from advisories.listing import (
    LIST,
    PAGE,
    Advisory,
    Listing,
    all_pins,
    page_with_table,
    pinned_files,
    problems,
    read_listing,
    write_listing,
)

__all__ = ["AuditError", "main", "refresh"]

_PATIENCE_SECONDS = 1800


class AuditError(Exception):
    """The database cannot be asked."""


def main(arguments: list[str] | None = None) -> int:
    """Refresh the list and the table; return 1 if a pin is below a fix without a reason."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--offline", action="store_true", help="write the table alone")
    parser.add_argument("--osv-url", default="", help="another address of the database")
    options = parser.parse_args(arguments)
    root = Path.cwd()
    if not (root / LIST).is_file():
        print(f"error: found no {LIST}: start this in the root of the repository", file=sys.stderr)
        return 2
    listing = read_listing(root / LIST)
    pins = all_pins(root, pinned_files(root))
    if not options.offline:
        try:
            listing = refresh(listing, pins, options.osv_url)
        except AuditError as error:
            print(f"error: {error}; nothing was changed", file=sys.stderr)
            return 1
        write_listing(root / LIST, listing)
    page = root / PAGE
    page.write_text(
        page_with_table(page.read_text(encoding="utf-8"), listing, pins), encoding="utf-8"
    )
    found = list(problems(listing, pins))
    for problem in found:
        print(problem)
    print(f"{LIST} and {PAGE} are up to date: {len(listing.advisories)} advisories")
    return 1 if found else 0


def refresh(listing: Listing, pins: dict[str, dict[str, Version]], osv_url: str = "") -> Listing:
    """Return the list as the database has it.

    An entry that the database does not know stays, unconfirmed.

    Raises
    ------
    AuditError
        If the database cannot be asked.
    """
    asked = {(entry.package, Version(entry.affected)) for entry in listing.advisories}
    asked |= {pair for packages in pins.values() for pair in packages.items()}
    told = {(entry.package, entry.id): entry for entry in _ask(asked, osv_url)}
    kept = {
        (entry.package, entry.id): replace(entry, confirmed=False) for entry in listing.advisories
    }
    return replace(
        listing,
        refreshed=f"{datetime.now(UTC):%Y-%m-%d}",
        advisories=tuple(sorted({**kept, **told}.values())),
    )


def _ask(pairs: Iterable[tuple[str, Version]], osv_url: str) -> Iterator[Advisory]:
    """Ask about packages at versions, in as few calls as a package has versions."""
    rounds: list[dict[str, Version]] = []
    for package, version in sorted(pairs):
        for one in rounds:
            if package not in one:
                one[package] = version
                break
        else:
            rounds.append({package: version})
    for one in rounds:
        for entry in _audit(one, osv_url):
            yield from _advisories(entry)


def _audit(pins: dict[str, Version], osv_url: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text("".join(f"{name}=={version.public}\n" for name, version in pins.items()))
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(file), "--no-deps"]
        command += ["--disable-pip", "--format=json", "--progress-spinner=off"]
        command += ["--vulnerability-service=osv", *([f"--osv-url={osv_url}"] if osv_url else [])]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    try:
        found: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = ended.stderr.strip().splitlines() or [f"pip-audit ended with {ended.returncode}"]
        raise AuditError(f"the database cannot be asked: {lines[-1][:300]}") from None
    return found


def _advisories(entry: dict[str, Any]) -> Iterator[Advisory]:
    package, version = canonicalize_name(entry["name"]), Version(entry.get("version", "0"))
    for found in entry.get("vulns", []):
        fixes = [Version(fixed) for fixed in found["fix_versions"]]
        later = [fixed for fixed in fixes if fixed > version]
        if not later:
            continue  # no version is better than this one: nothing to be done by a pin
        names = [found["id"], *found.get("aliases", [])]
        number = next((name for name in names if name.startswith("CVE-")), found["id"])
        yield Advisory(package, number, str(version), str(min(later)), confirmed=True)


if __name__ == "__main__":
    sys.exit(main())
