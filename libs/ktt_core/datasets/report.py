"""The report of an import: rows read, written and dropped, with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ktt_core.documents import Document

__all__ = ["BadRows", "ImportReport", "show_places"]

#: Row numbers kept per reason.
SHOWN_ROWS = 10


@dataclass
class BadRows:
    """Counts of unusable rows by reason, with the first row numbers of each.

    Attributes
    ----------
    counts : dict of str to int
    first_rows : dict of str to list of int
    lines : mapping of int to int
        Lines of the file at which these rows begin, where the source has lines.
    """

    counts: dict[str, int] = field(default_factory=dict)
    first_rows: dict[str, list[int]] = field(default_factory=dict)
    lines: Mapping[int, int] = field(default_factory=dict)

    def add(self, reason: str, rows: Iterable[int]) -> None:
        """Count rows, given their numbers in the source, from 1."""
        rows = [int(row) for row in rows]
        if rows:
            self.counts[reason] = self.counts.get(reason, 0) + len(rows)
            self.first_rows.setdefault(reason, [])
            known = self.first_rows[reason]
            known.extend(rows[: max(0, SHOWN_ROWS - len(known))])

    @property
    def total(self) -> int:
        """Number of bad rows."""
        return sum(self.counts.values())

    def describe(self) -> str:
        """Return one line per reason."""
        lines = []
        for reason, count in sorted(self.counts.items(), key=lambda item: -item[1]):
            places = show_places(self._entry(reason))
            lines.append(f"  {reason}: {count:,} row{'s' * (count != 1)} ({places})")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return ``{reason: {"count": n, "rows": [first row numbers], "lines": [of these rows]}}``.

        "lines" is missing where the source has no lines.
        """
        return {reason: self._entry(reason) for reason in self.counts}

    def _entry(self, reason: str) -> dict[str, Any]:
        rows = self.first_rows[reason]
        entry: dict[str, Any] = {"count": self.counts[reason], "rows": rows}
        if all(row in self.lines for row in rows):
            entry["lines"] = [self.lines[row] for row in rows]
        return entry


def show_places(entry: Mapping[str, Any]) -> str:
    """Format the positions of bad rows: "line 3, 17, ...", or "row 2, 16, ..." without lines.

    Parameters
    ----------
    entry : mapping
        "count", "rows" and optionally "lines", as in `BadRows.to_json`.
    """
    what = "line" if entry.get("lines") else "row"
    numbers = entry["lines"] if entry.get("lines") else entry["rows"]
    more = ", ..." if entry["count"] > len(numbers) else ""
    return f"{what} {', '.join(map(str, numbers))}{more}"


@dataclass(frozen=True)
class ImportReport(Document):
    """The outcome of an import.

    Attributes
    ----------
    rows_read : int
        Data rows of the source.
    rows_written : mapping of str to int
        Per split.
    bad_rows : mapping of str to mapping
        `BadRows.to_json`: rows dropped as unusable.
    duplicates : int
        Rows dropped as an earlier row has the same text and path.
    conflicting : int
        Rows dropped as their text occurs with two different paths.
    rare_rows, rare_leaves : int
        Rows and leaves dropped by `min_rows_per_leaf`.
    classes_per_level : list of int
        Without padding classes.
    leaves : int
    rows_per_leaf : mapping of str to float
        "min", "median" and "max" over the leaves, all splits together.
    warnings : list of str
        Allowed but notable properties of the dataset.
    seconds : float
    """

    rows_read: int
    rows_written: Mapping[str, int]
    bad_rows: Mapping[str, Any]
    duplicates: int
    conflicting: int
    rare_rows: int
    rare_leaves: int
    classes_per_level: list[int]
    leaves: int
    rows_per_leaf: Mapping[str, float]
    warnings: list[str]
    seconds: float

    @property
    def rows_dropped(self) -> int:
        """Rows read but not written."""
        return self.rows_read - sum(self.rows_written.values())

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {**super().to_json(), "rows_dropped": self.rows_dropped}
