from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.errors import InvalidArgumentError
from ktt_core.names import NAME_PATTERN, check_name


@pytest.mark.parametrize("name", ["a", "0", "Toys_2026-01", "x" * 63, "console", "com10"])
def test_letters_digits_underscores_and_hyphens_are_accepted(name: str) -> None:
    assert check_name(name, "dataset") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "-rf",
        "_hidden",
        ".tmp-1",
        "a b",
        "a\n",
        "a\x00",
        "ä",
        "🎈",
        "x" * 64,
        "x" * 100_000,
        "CON",
        "nul",
        "Lpt1",
        "COM9",
    ],
)
def test_anything_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="dataset name") as error:
        check_name(name, "dataset")
    assert len(str(error.value)) < 300


def test_a_name_must_be_text() -> None:
    with pytest.raises(InvalidArgumentError):
        check_name(None, "dataset")  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.text())
def test_no_accepted_name_leaves_its_folder(name: str) -> None:
    try:
        check_name(name, "dataset")
    except InvalidArgumentError:
        return
    assert NAME_PATTERN.fullmatch(name)
    assert "/" not in name and "." not in name
