"""The lines of a CSV file at which its rows begin: rows may go over several, and some are blank."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ktt_core.datasets.textfiles import open_text, reading

__all__ = ["csv_lines"]

# The rest of a quoted value, from behind its first quote; two quotes stand for one within it.
_REST = re.compile(rb'[^"]*(?:""[^"]*)*"(?!")')


def csv_lines(path: Path, delimiter: str, rows: Iterable[int]) -> dict[int, int]:
    """Return at which line each of some rows begins.

    Parameters
    ----------
    path : Path
    delimiter : str
    rows : iterable of int
        From 1, the header not counted.

    Returns
    -------
    dict of int to int
        From 1, the header counted. Rows that are not found are left out.
    """
    wanted = set(rows)
    found: dict[int, int] = {}
    separator = delimiter.encode()
    # The header is row 0.
    row, is_open = -1, False
    with open_text(path) as file, reading(path):
        for number, line in enumerate(file.stream, start=1):
            if len(found) == len(wanted):
                break
            if not is_open:
                if not line.strip(b"\r\n"):
                    continue  # The parser passes over it too.
                row += 1
                if row in wanted:
                    found[row] = number
            if is_open or b'"' in line:
                is_open = _is_open(line, separator, is_open)
    return found


def _is_open(line: bytes, separator: bytes, within: bool) -> bool:
    """Say whether a quoted value goes on behind a line, which may begin `within` one."""
    place = 0
    while True:
        if within or line[place : place + 1] == b'"':
            rest = _REST.match(line, place if within else place + 1)
            if rest is None:
                return True
            place, within = rest.end(), False
        following = line.find(separator, place)
        if following < 0:
            return False
        place = following + 1
