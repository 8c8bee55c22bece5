"""Pages follow one another without gap or repeat."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trainer.pages import page_of


@given(st.lists(st.text(max_size=3), unique=True), st.integers(1, 5))
def test_pages_hold_every_entry_once_and_in_order(entries: list[str], limit: int) -> None:
    entries.sort()
    seen, cursor = [], None
    while True:
        page, cursor = page_of(entries, str, limit, cursor)
        assert len(page) <= limit
        seen += page
        if cursor is None:
            break
    assert seen == entries


def test_an_entry_that_was_removed_does_no_harm() -> None:
    page, cursor = page_of(["a", "b", "c", "d"], str, 2, None)
    assert (page, cursor) == (["a", "b"], "b")
    assert page_of(["a", "c", "d"], str, 2, cursor) == (["c", "d"], None)
    assert page_of(["a"], str, 2, cursor) == ([], None)
