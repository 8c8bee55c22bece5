"""What people and scripts see, as text and as JSON.

Results go to standard output, all else to standard error.
"""

from __future__ import annotations

import json
import re
from typing import Any

import click

__all__ = ["echo", "print_json", "printable", "to_json"]

# What a terminal obeys or hides, and what turns the order of letters around: all control characters
# but tab and line break, and the marks for embedding, overriding and isolating text.
_ORDERS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return a text that a terminal only shows: other characters as ``\\x1b``, ``\\u202e``."""
    return _ORDERS.sub(lambda found: ascii(found[0])[1:-1], text)


def echo(text: str = "", err: bool = False, nl: bool = True, bold: bool = False) -> None:
    """Print a text, which may come from untrusted files, models and servers."""
    said = printable(text)
    click.echo(click.style(said, bold=True) if bold else said, err=err, nl=nl)


def to_json(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON that a terminal only shows."""
    said = json.dumps(value, ensure_ascii=False, indent=indent)
    return _ORDERS.sub(lambda found: f"\\u{ord(found[0]):04x}", said)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    click.echo(to_json(value, indent=2))
