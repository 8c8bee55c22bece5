"""Line numbers of the rows of a CSV file: rows may span several lines, and lines may be blank."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ktt_core.datasets.textfiles import lines, open_text, reading

__all__ = ["csv_lines"]

# The rest of a quoted value after its opening quote; two quotes are an escaped one.
_REST = re.compile(rb'[^"]*(?:""[^"]*)*"(?!")')


def csv_lines(path: Path, delimiter: str, rows: Iterable[int]) -> dict[int, int]:
    """Return the line at which each of the given rows begins.

    Parameters
    ----------
    path : Path
    delimiter : str
    rows : iterable of int
        From 1, without the header.

    Returns
    -------
    dict of int to int
        From 1, including the header. Rows that are not found are left out.
    """
    wanted = set(rows)
    found: dict[int, int] = {}
    separator = delimiter.encode()
    # The header is row 0.
    row, is_open = -1, False
    with open_text(path) as file, reading(path):
        for number, line in enumerate(lines(file), start=1):
            if len(found) == len(wanted):
                break
            if not is_open:
                if not line.strip(b"\r\n"):
                    continue  # The parser skips it too.
                row += 1
                if row in wanted:
                    found[row] = number
            if is_open or b'"' in line:
                is_open = _is_open(line, separator, is_open)
    return found


def _is_open(line: bytes, separator: bytes, within: bool) -> bool:
    """Tell whether a quoted value continues after a line; `within`: the line begins inside one."""
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
