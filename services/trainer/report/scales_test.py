"""Axes and numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.report.scales import nice_axis, number, percent, share_axis

FINITE = st.floats(-1e9, 1e9, allow_nan=False)


@given(st.lists(FINITE, min_size=1, max_size=20), st.booleans())
def test_an_axis_covers_its_values_and_has_a_few_distinct_ticks(values, from_zero):
    axis = nice_axis(values, from_zero=from_zero)
    slack = 1e-6 * max(1e-9, axis.high - axis.low)
    assert axis.low <= min(values) + slack and max(values) <= axis.high + slack
    assert not from_zero or axis.low <= slack and axis.high >= -slack
    assert 2 <= len(axis.ticks) <= 9
    places = [axis.place(tick.value) for tick in axis.ticks]
    assert places == sorted(places) and places[0] == 0.0 and places[-1] == pytest.approx(1.0)
    assert all(0.0 <= axis.place(value) <= 1.0 for value in values)


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_counts_have_ticks_at_whole_numbers(first, second):
    axis = nice_axis([float(first), float(second)], whole=True)
    assert first == second or all(tick.value % 1 == 0 for tick in axis.ticks)


def test_ticks_are_at_round_numbers():
    assert [tick.label for tick in nice_axis([0.0, 9.4]).ticks] == ["0", "2", "4", "6", "8", "10"]
    labels = [tick.label for tick in nice_axis([0.0, 1.1]).ticks]
    assert labels == ["0", "0.25", "0.50", "0.75", "1.00", "1.25"]
    assert [tick.label for tick in share_axis("", 0.5).ticks][:2] == ["50\u202f%", "60\u202f%"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234, "1,234"),
        (0.8642, "0.8642"),
        (1.4, "1.4"),
        (-2.5, "\N{MINUS SIGN}2.5"),
        (0.00012, f"1.2e{chr(0x2212)}4"),
        (123456789, "1.235e8"),
    ],
)
def test_numbers_have_their_significant_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [
        (0.0, 1, "0\u202f%"),
        (1.0, 1, "100\u202f%"),
        (0.9999, 1, ">99.9\u202f%"),
        (0.0001, 1, "<0.1\u202f%"),
        (0.9376, 1, "93.8\u202f%"),
        (0.996, 0, ">99\u202f%"),
    ],
)
def test_only_exact_shares_are_shown_as_0_or_100_percent(share, digits, text):
    assert percent(share, digits) == text
