"""Types of command line options that are stricter than click's."""

from __future__ import annotations

import math
from typing import Any

import click

__all__ = ["Folder", "NumberRange"]


class NumberRange(click.FloatRange):
    """A number within bounds, and not "nan", which passes comparisons."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Folder(click.Path):
    """A folder's path; refuses an empty one, which would mean the working directory.

    An unset variable in a script (``--workspace "$WORKSPACE"``) causes it.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("the path is empty; '.' is the current folder", param, ctx)
        return super().convert(value, param, ctx)
