"""Charts as coordinates; `templates/charts.html` draws them as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.report.scales import Axis

__all__ = [
    "Bar",
    "BarChart",
    "Chart",
    "Line",
    "Mark",
    "Series",
    "bar_chart",
    "line_chart",
    "thin",
]

# Size of a drawing, in units that are pixels on a narrow screen.
WIDTH, HEIGHT = 420.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 10.0, 42.0

#: Largest number of drawn points of a series; longer ones are averaged.
MAX_POINTS = 240

# Number of characters that fit side by side below a drawing.
_MAX_LABELS = 36

# Series with more points than this have no marks, which would hide the line.
_MAX_MARKS = 40


@dataclass(frozen=True)
class Series:
    """A series of points.

    Attributes
    ----------
    name : str
        Name in the legend.
    points : sequence of (float, float)
        Finite values, sorted by x.
    notes : sequence of str
        Tooltip of each point; empty without tooltips.
    style : int
        Number of the colour, dash and mark, from 0; 9 is a reference line.
    marks : bool
        Whether points have marks, if there are few enough.
    sizes : sequence of float
        Size of each point's mark relative to the default; empty for the default.
    """

    name: str
    points: Sequence[tuple[float, float]]
    notes: Sequence[str] = ()
    style: int = 0
    marks: bool = True
    sizes: Sequence[float] = ()


@dataclass(frozen=True)
class Mark:
    """A point in the drawing, its tooltip and its relative size."""

    x: float
    y: float
    note: str
    size: float = 1.0


@dataclass(frozen=True)
class Line:
    """A series in the drawing."""

    name: str
    style: int
    path: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Bar:
    """A bar in the drawing, its tooltip and the text above it."""

    x: float
    y: float
    width: float
    height: float
    note: str
    caption: str = ""


@dataclass(frozen=True)
class Chart:
    """A drawing.

    Attributes
    ----------
    id : str
        Unique within the page.
    title, description : str
        Title, and a description for screen readers.
    x_axis, y_axis : Axis
    x_ticks, y_ticks : tuple of (float, str)
        Coordinates and labels.
    lines : tuple of Line
    bars : tuple of Bar
    """

    id: str
    title: str
    description: str
    x_axis: Axis
    y_axis: Axis
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM

    @property
    def dense(self) -> bool:
        """Whether the labels below the drawing need a smaller font."""
        return sum(len(label) for _, label in self.x_ticks) > _MAX_LABELS


@dataclass(frozen=True)
class BarChart:
    """Bars with values, and optional labels, texts above, and tooltips."""

    values: Sequence[float | None]
    labels: Sequence[str] = ()
    captions: Sequence[str] = ()
    notes: Sequence[str] = ()


def line_chart(
    id: str,
    title: str,
    description: str,
    series: Sequence[Series],
    x_axis: Axis,
    y_axis: Axis,
) -> Chart:
    """Return a line chart of series."""
    lines = tuple(_line(entry, x_axis, y_axis) for entry in series if entry.points)
    return Chart(
        id,
        title,
        description,
        x_axis,
        y_axis,
        tuple((_x(tick.value, x_axis), tick.label) for tick in x_axis.ticks),
        tuple((_y(tick.value, y_axis), tick.label) for tick in y_axis.ticks),
        lines,
    )


def bar_chart(
    id: str, title: str, description: str, bars: BarChart, x_axis: Axis, y_axis: Axis
) -> Chart:
    """Return a bar chart; a value of None leaves a gap.

    Labels are below the bars; without labels, the ticks of `x_axis` are, which spans the range from
    the first to the last bar.
    """
    slot = (WIDTH - LEFT - RIGHT) / max(1, len(bars.values))
    drawn = []
    for index, value in enumerate(bars.values):
        if value is None:
            continue
        top = _y(value, y_axis)
        drawn.append(
            Bar(
                x=_round(LEFT + slot * (index + 0.12)),
                y=top,
                width=_round(slot * 0.76),
                height=_round(HEIGHT - BOTTOM - top),
                note=bars.notes[index] if bars.notes else "",
                caption=bars.captions[index] if bars.captions else "",
            )
        )
    return Chart(
        id,
        title,
        description,
        x_axis,
        y_axis,
        tuple(
            (_round(LEFT + slot * (index + 0.5)), label) for index, label in enumerate(bars.labels)
        )
        or tuple((_x(tick.value, x_axis), tick.label) for tick in x_axis.ticks),
        tuple((_y(tick.value, y_axis), tick.label) for tick in y_axis.ticks),
        bars=tuple(drawn),
    )


def thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return at most `MAX_POINTS` points: means of neighbours, with the last point unchanged."""
    points = [point for point in points if all(map(math.isfinite, point))]
    if len(points) <= MAX_POINTS:
        return points
    size = math.ceil((len(points) - 1) / (MAX_POINTS - 1))
    thinned = []
    for start in range(0, len(points) - 1, size):
        group = points[start : min(start + size, len(points) - 1)]
        thinned.append(
            (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group))
        )
    return [*thinned, points[-1]]


def _line(series: Series, x_axis: Axis, y_axis: Axis) -> Line:
    placed = [(_x(x, x_axis), _y(y, y_axis)) for x, y in series.points]
    path = "M" + "L".join(f"{x:g} {y:g}" for x, y in placed)
    marked = series.marks and len(placed) <= _MAX_MARKS
    notes = series.notes or [""] * len(placed)
    sizes = series.sizes or [1.0] * len(placed)
    marks = tuple(
        Mark(x, y, note, size)
        for (x, y), note, size in zip(placed, notes, sizes, strict=True)
        if marked
    )
    return Line(series.name, series.style, path, marks)


def _x(value: float, axis: Axis) -> float:
    return _round(LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT))


def _y(value: float, axis: Axis) -> float:
    return _round(HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM))


def _round(value: float) -> float:
    # A tenth of a pixel is invisible, and reports with many points stay small.
    return round(value, 1)
