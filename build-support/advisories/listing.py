"""The list of advisories, and what it says of the pins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

__all__ = [
    "LIST",
    "PAGE",
    "Accepted",
    "Advisory",
    "Listing",
    "all_pins",
    "page_with_table",
    "pinned_files",
    "problems",
    "read_listing",
    "read_pins",
    "write_listing",
]

LIST = Path("3rdparty/python/advisories.json")
PAGE = Path("docs/security.md")

_BEGIN, _END = "<!-- advisories: begin -->\n", "<!-- advisories: end -->\n"
_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Advisory:
    """One advisory about a package.

    Attributes
    ----------
    package : str
        Canonical name.
    id : str
        A CVE number where there is one.
    affected : str
        A version that has the fault.
    fixed : str
        The first version without it.
    confirmed : bool
        Whether a database has said so, when the list was refreshed.
    """

    package: str
    id: str
    affected: str
    fixed: str
    confirmed: bool


@dataclass(frozen=True)
class Accepted:
    """A package that stays below a fix in some files, and why that does no harm."""

    package: str
    files: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Listing:
    """The list.

    Attributes
    ----------
    refreshed : str
        Date of the last refresh from a database; "" before the first.
    written : str
        Date of the last change by hand.
    """

    refreshed: str
    written: str
    advisories: tuple[Advisory, ...]
    accepted: tuple[Accepted, ...]

    def of(self, package: str) -> list[Advisory]:
        """Return the advisories about a package."""
        return [advisory for advisory in self.advisories if advisory.package == package]

    def reason(self, file: str, package: str) -> str | None:
        """Return why a package may stay below a fix in a file, or None."""
        for accepted in self.accepted:
            if accepted.package == package and file in accepted.files:
                return accepted.why
        return None


def read_listing(file: Path) -> Listing:
    """Read the list."""
    found = json.loads(file.read_text(encoding="utf-8"))
    return Listing(
        refreshed=found["refreshed"],
        written=found["written"],
        advisories=tuple(Advisory(**entry) for entry in found["advisories"]),
        accepted=tuple(
            Accepted(entry["package"], tuple(entry["files"]), entry["why"])
            for entry in found["accepted"]
        ),
    )


def write_listing(file: Path, listing: Listing) -> None:
    """Write the list, sorted, in place of the older one."""
    ordered = replace(listing, advisories=tuple(sorted(listing.advisories)))
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps(asdict(ordered), indent=1) + "\n", encoding="utf-8")
    temporary.replace(file)


def pinned_files(root: Path) -> list[Path]:
    """Return all files of pins: the locks, and what bundles are installed from."""
    return [
        *sorted((root / "3rdparty/python").glob("*.lock")),
        *sorted((root / "libs/ktt_packing/packer/requirements").glob("*.txt")),
        root / "services/monitoring/requirements.txt",
    ]


def read_pins(file: Path) -> dict[str, Version]:
    """Return the pinned version of each package in a file."""
    found = _PIN.findall(file.read_text(encoding="utf-8"))
    return {canonicalize_name(name): Version(version) for name, version in found}


def problems(listing: Listing, pins: Mapping[str, Mapping[str, Version]]) -> Iterator[str]:
    """Say which pins are below a fix without a reason, and which reasons are not needed.

    Parameters
    ----------
    listing : Listing
    pins : mapping
        From each file's name to its pins.
    """
    needed = set()
    for file, packages in pins.items():
        for package, version in packages.items():
            for advisory in listing.of(package):
                if version >= Version(advisory.fixed):
                    continue
                needed.add((file, package))
                if listing.reason(file, package) is None:
                    yield (
                        f"{file} pins {package} {version}, which {advisory.id} is about: take "
                        f"{advisory.fixed} or later, or say in {LIST} why it does no harm"
                    )
    for accepted in listing.accepted:
        for file in accepted.files:
            if (file, accepted.package) not in needed:
                yield f"{LIST} excuses {accepted.package} in {file}, which is not below any fix"


def page_with_table(page: str, listing: Listing, pins: Mapping[str, Mapping[str, Version]]) -> str:
    """Return the page with the table of what is known about the pins.

    Raises
    ------
    ValueError
        If the page has no place for it.
    """
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE} needs the lines {_BEGIN.strip()} and {_END.strip()}")
    return f"{before}{begin}{_table(listing, pins)}{end}{after}"


def _table(listing: Listing, pins: Mapping[str, Mapping[str, Version]]) -> str:
    lines = [
        f"The list is of {listing.written}; "
        + (
            f"it was compared with the database on {listing.refreshed}."
            if listing.refreshed
            else "it has not been compared with a database yet, so that no entry is confirmed."
        ),
        "",
        "| package | pinned | advisories, by the version with the fix | reached |",
        "|---|---|---|---|",
    ]
    for package in sorted({advisory.package for advisory in listing.advisories}):
        by_version: dict[Version, list[str]] = {}
        for file, packages in pins.items():
            if package in packages:
                by_version.setdefault(packages[package], []).append(file)
        for version, files in sorted(by_version.items()):
            lines.append(_row(listing, package, version, files))
    return "\n".join(lines) + "\n"


def _row(listing: Listing, package: str, version: Version, files: list[str]) -> str:
    known: dict[str, list[str]] = {}
    for advisory in sorted(listing.of(package), key=lambda one: (Version(one.fixed), one.id)):
        known.setdefault(advisory.fixed, []).append(advisory.id + "?" * (not advisory.confirmed))
    advisories = "; ".join(f"{fixed}: {', '.join(ids)}" for fixed, ids in known.items())
    is_below = any(version < Version(fixed) for fixed in known)
    reasons = {listing.reason(file, package) or "**yes**" for file in files} if is_below else ()
    return (
        f"| {package} | {version}: {', '.join(_short(file) for file in files)} | {advisories} | "
        f"{'; '.join(sorted(reasons)) or 'fixed'} |"
    )


def _short(file: str) -> str:
    path = Path(file)
    if path.suffix == ".lock":
        return path.stem
    return "bundles' monitor" if path.parent.name == "monitoring" else f"bundles' {path.stem}"


def all_pins(root: Path, files: Iterable[Path]) -> dict[str, dict[str, Version]]:
    """Return the pins of files by their names from the root."""
    return {file.relative_to(root).as_posix(): read_pins(file) for file in files}
