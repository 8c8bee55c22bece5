"""Pages of a list, each starting after the last key of the previous page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["Page", "page_of"]

T = TypeVar("T")

#: Entries, and the key after which the next page starts; None on the last page.
Page = tuple[list[T], str | None]


def page_of(
    entries: Sequence[T], key: Callable[[T], str], limit: int, after: str | None
) -> Page[T]:
    """Return a page of a list.

    Parameters
    ----------
    entries : sequence
        Sorted by key.
    key : callable
        Unique key of an entry.
    limit : int
        Entries per page, at least 1.
    after : str or None
        Last key of the previous page; its entry may have been removed since.
    """
    begin = 0
    if after is not None:
        begin = next((at for at, entry in enumerate(entries) if key(entry) > after), len(entries))
    page = list(entries[begin : begin + limit])
    more = begin + limit < len(entries)
    return page, key(page[-1]) if page and more else None
