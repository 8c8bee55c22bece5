"""Rendering of a report, and writing it to a file."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path

import jinja2

from ktt_core.atomic import atomic_file
from trainer.report.confidence import bucket_label
from trainer.report.page import page_values
from trainer.report.report_data import ReportData
from trainer.report.scales import number, percent
from trainer.report.tables import optional_percent

__all__ = ["render_report", "write_report"]


def render_report(facts: ReportData) -> str:
    """Return the page: HTML without scripts, other files or network access.

    The same facts give the same page. Its size is bounded, independently of the number of classes
    or texts.
    """
    if facts.diagnostics is not None and not facts.diagnostics.rows:
        # A model without scores.
        facts = replace(facts, diagnostics=None)
    template = _environment().get_template("report.html")
    return template.render(page_values(facts), style=_read("style.css"))


def write_report(path: Path, facts: ReportData) -> None:
    """Write the page atomically.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    page = render_report(facts)
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bucket": bucket_label,
        "number": number,
        "optional": optional_percent,
        "percent": percent,
    }
    return environment


def _read(name: str) -> str:
    folder = resources.files("trainer.report") / "templates"
    return (folder / name).read_text(encoding="utf-8")
