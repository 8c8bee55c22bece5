"""Axes: positions of ticks, and formats of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Axis", "Tick", "nice_axis", "number", "percent", "share_axis"]

# A narrow no-break space: "91.2 %".
_NARROW = "\N{NARROW NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Tick:
    """A value on an axis and its label."""

    value: float
    label: str


@dataclass(frozen=True)
class Axis:
    """A range of values, its ticks and its label; values outside are drawn at its ends."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    label: str = ""

    def place(self, value: float) -> float:
        """Return the position of a value, from 0 at the low end to 1 at the high end."""
        if self.high <= self.low:
            return 0.5
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


def nice_axis(
    values: Sequence[float],
    label: str = "",
    count: int = 5,
    from_zero: bool = False,
    whole: bool = False,
) -> Axis:
    """Return an axis that covers the values, with about `count` ticks at round numbers.

    Parameters
    ----------
    values : sequence of float
        Finite; if empty, the axis is from 0 to 1.
    label : str
    count : int
        Desired number of steps.
    from_zero : bool
        Whether the axis includes 0.
    whole : bool
        Whether ticks are at whole numbers only.
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    # Differences below the precision of the labels would give equal ones.
    spread = max(abs(low), abs(high), 1e-12)
    if high - low < 1e-6 * spread:
        low, high = low - 0.5 * spread, high + 0.5 * spread
        if from_zero:
            low, high = min(0.0, high), max(0.0, high)
    raw = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= raw * (1 - 1e-9))
    if whole and step % 1.0:
        step = math.ceil(step)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(Tick(n * step, number(n * step, step)) for n in range(first, last + 1))
    return Axis(first * step, last * step, ticks, label)


def share_axis(label: str, low: float = 0.0) -> Axis:
    """Return the axis of a share, up to 100 %, with ticks at fifths of its range."""
    step = (1.0 - low) / 5
    digits = 0 if abs(step * 100 - round(step * 100)) < 1e-9 else 1
    ticks = tuple(Tick(low + n * step, percent(low + n * step, digits)) for n in range(6))
    return Axis(low, 1.0, ticks, label)


def number(value: float, step: float | None = None) -> str:
    """Format a number with separated thousands and only significant digits.

    Parameters
    ----------
    value : float
    step : float, optional
        Distance to the adjacent numbers; without it, about four digits are shown.
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e7 or size < 1e-3:
        mantissa, exponent = f"{value:.3e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}e{int(exponent)}".replace("-", _MINUS)
    if step is not None:
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        # A step of 0.25 needs one more digit than 0.2.
        if abs(step * 10**digits - round(step * 10**digits)) > 1e-9:
            digits += 1
    else:
        digits = max(0, 3 - math.floor(math.log10(size)))
    text = f"{value:,.{digits}f}"
    if step is None and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", _MINUS)


def percent(share: float, digits: int = 1) -> str:
    """Return a share in percent; only exact 0 and 1 are shown as 0 % and 100 %."""
    text = f"{100.0 * share:.{digits}f}"
    if float(text) >= 100.0 and share < 1.0:
        text = f"{100.0 - 10.0**-digits:.{digits}f}"
        return f">{text}{_NARROW}%"
    if float(text) == 0.0 and share > 0.0:
        return f"<{10.0**-digits:.{digits}f}{_NARROW}%"
    if share in (0.0, 1.0):
        text = f"{100.0 * share:.0f}"
    return f"{text}{_NARROW}%"
