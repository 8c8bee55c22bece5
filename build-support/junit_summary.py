"""Add up JUnit reports: names what failed and what was skipped, and ends with one line of counts.

Usage: junit_summary.py FOLDER

Exits with 1 when a test failed, or when none ran.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree


def outcomes(reports: Iterable[Path]) -> dict[str, list[str]]:
    """Sort the test cases of the reports by what became of them.

    Parameters
    ----------
    reports
        JUnit XML files.

    Returns
    -------
    dict
        ``passed``, ``failed`` and ``skipped``, each a list of names; a skipped one says why.
    """
    found: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname', '')}.{case.get('name', '')}"
            skipped = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                found["failed"].append(name)
            elif skipped is not None:
                found["skipped"].append(f"{name}: {skipped.get('message', 'no reason given')}")
            else:
                found["passed"].append(name)
    return found


def main() -> int:
    """Print the summary of a folder's reports."""
    found = outcomes(sorted(Path(sys.argv[1]).rglob("*.xml")))
    for outcome in ("skipped", "failed"):
        for name in sorted(found[outcome]):
            print(f"{outcome}: {name}")
    print(", ".join(f"{len(names)} {outcome}" for outcome, names in found.items()))
    return 1 if found["failed"] or not found["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
