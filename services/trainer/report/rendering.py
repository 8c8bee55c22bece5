"""From facts to a file."""

from __future__ import annotations

from pathlib import Path

from ktt_core.atomic import atomic_file
from trainer.report.facts import ReportFacts

__all__ = ["render_report", "write_report"]


def render_report(facts: ReportFacts) -> str:
    """Return the page: HTML that needs no other file, no script and no network."""
    raise NotImplementedError


def write_report(path: Path, facts: ReportFacts) -> None:
    """Write the page, atomically.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    page = render_report(facts)
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
