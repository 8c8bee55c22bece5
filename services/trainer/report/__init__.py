"""The report that a training run leaves beside its checkpoint: one self-contained HTML file."""

from __future__ import annotations

from trainer.report.rendering import render_report, write_report
from trainer.report.report_data import ReportData

__all__ = ["ReportData", "render_report", "write_report"]
