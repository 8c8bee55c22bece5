"""Learning rates rise, then fall."""

from __future__ import annotations

import pytest

from ktt_models.pytorch.training.schedule import rate_factor


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_rates_rise_in_equal_parts_to_the_highest_and_never_rise_again(schedule: str) -> None:
    factors = [rate_factor(step, 100, 0.1, schedule) for step in range(100)]
    assert factors[:11] == pytest.approx([*(number / 10 for number in range(1, 11)), 1.0])
    assert all(later <= earlier for earlier, later in zip(factors[10:], factors[11:]))  # noqa: B905
    assert factors[-1] == (1.0 if schedule == "constant" else pytest.approx(0.0, abs=0.02))


def test_a_line_and_a_cosine_are_half_way_down_in_the_middle() -> None:
    for schedule in ("linear", "cosine"):
        assert rate_factor(50, 100, 0.0, schedule) == pytest.approx(0.5)
    assert rate_factor(25, 100, 0.0, "cosine") == pytest.approx(0.5 + 0.5 * 2**-0.5)


@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
def test_the_shortest_runs_have_rates_too(warmup: float) -> None:
    assert rate_factor(0, 1, warmup, "linear") == 1.0
