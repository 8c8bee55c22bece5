"""The report that a training run leaves beside its checkpoint: one self-contained HTML file."""

from __future__ import annotations

from trainer.report.facts import ReportFacts
from trainer.report.rendering import render_report, write_report

__all__ = ["ReportFacts", "render_report", "write_report"]
