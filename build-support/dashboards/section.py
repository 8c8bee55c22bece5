"""A titled row of a dashboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.panels import PanelBuilder

__all__ = ["Section"]


@dataclass(frozen=True)
class Section:
    """Panels under a title.

    Attributes
    ----------
    title
        What they are about.
    panels
        From left to right; as many to a line as the 24 columns hold.
    """

    title: str
    panels: Sequence[PanelBuilder]
