"""Pages of a list: those entries that come after the one where the page before ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["Page", "page_of"]

T = TypeVar("T")

#: Entries, and where the next page begins: after that key, or nowhere.
Page = tuple[list[T], str | None]


def page_of(
    entries: Sequence[T], key: Callable[[T], str], limit: int, after: str | None
) -> Page[T]:
    """Return a page of a list.

    Parameters
    ----------
    entries : sequence
        In their order, which is that of the keys.
    key : callable
        An entry's; no two have the same.
    limit : int
        Entries of a page, from 1.
    after : str or None
        Where the page before ended. An entry that was removed since does no harm.
    """
    begin = 0
    if after is not None:
        begin = next((at for at, entry in enumerate(entries) if key(entry) > after), len(entries))
    page = list(entries[begin : begin + limit])
    more = begin + limit < len(entries)
    return page, key(page[-1]) if page and more else None
