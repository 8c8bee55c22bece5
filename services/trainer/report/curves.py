"""Charts of the training curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.report.charts import Chart, Series, line_chart, thin
from trainer.report.scales import Axis, nice_axis, number, percent, share_axis

__all__ = ["curves", "validated"]

History = Sequence[Mapping[str, Any]]
Points = list[tuple[float, float]]

_TRAINING_LOSS = ("loss", "train_loss")
_VALIDATION_LOSS = ("val_loss",)
_METRICS = {
    "hierarchical_f1": "hierarchical F1",
    "leaf_accuracy": "leaf accuracy",
    "leaf_macro_f1": "leaf macro-F1",
}
# Metrics that select the best state, in order of preference.
_CHOOSING = ("hierarchical_f1", "leaf_accuracy", "leaf_macro_f1")
_MAX_LINES = 4


def curves(history: History) -> list[Chart]:
    """Return the charts of a history: loss, validation metrics, learning rates."""
    name, positions = _positions(history)
    charts = []
    losses = _losses(history, positions)
    if losses:
        charts.append(_chart("loss", "Loss", name, losses, _value_axis(losses)))
    metrics = {
        label: points
        for key, label in _METRICS.items()
        if len(points := _points(history, positions, (f"val_{key}", key))) > 1
    }
    if metrics:
        lowest = min(y for points in metrics.values() for _, y in points)
        axis = share_axis("", max(0.0, math.floor(lowest * 10 - 0.2) / 10))
        charts.append(_chart("metrics", "Metrics on the validation rows", name, metrics, axis))
    rates: dict[str, Points] = {}
    for key in sorted({key for point in history for key in point if _is_rate(key)}):
        if len(rates) < _MAX_LINES and len(points := _points(history, positions, (key,))) > 1:
            rates[key.replace("_", " ")] = points
    if rates:
        charts.append(_chart("rate", "Learning rate", name, rates, _value_axis(rates)))
    return charts


def validated(history: History) -> tuple[str, Points, int]:
    """Return the selection metric of the validated states, and the best of them.

    Returns
    -------
    unit : str
        Unit of time: "epoch" or "step".
    points : list of (float, float)
        The metric that selects the best state.
    best : int
        Position in `points` of the highest value; ties go to the lowest validation loss, then to
        the first, as in training.
    """
    for key in _CHOOSING:
        keys = (f"val_{key}", key)
        known = [point for point in history if _value(point, keys) is not None]
        if known:
            # With validations only, the number of the epoch is more meaningful than the step.
            name, positions = _positions(known, ("epoch", "step"))
            points = _points(known, positions, keys)
            losses = dict(_points(known, positions, _VALIDATION_LOSS))

            def rank(index: int, points: Points = points, losses: Any = losses) -> Any:
                position, figure = points[index]
                return figure, -losses.get(position, math.inf), -index

            return name, points, max(range(len(points)), key=rank)
    return "epoch", [], 0


def _losses(history: History, positions: Sequence[float]) -> dict[str, Points]:
    """Return the losses, each quantity as a separate line.

    Losses of whole epochs are separate from those of some steps; for a solver that starts several
    times, those of its first passes are separate from those of its last passes.
    """
    everything = range(len(history))
    epochs = [index for index, point in enumerate(history) if "epoch" in point]
    steps = [index for index, point in enumerate(history) if "epoch" not in point]
    passes = [_finite(point.get("pass")) for point in history]
    known = [number for number in passes if number is not None]
    last = max(known, default=0.0)
    named: dict[str, tuple[Sequence[int], Sequence[str]]]
    if last > 1 and len(known) > last:
        named = {
            "training, first pass of a start": (
                [index for index in everything if passes[index] == 1],
                _TRAINING_LOSS,
            ),
            "training, last pass of a start": (
                [index for index in everything if passes[index] == last],
                _TRAINING_LOSS,
            ),
        }
    elif epochs and steps:
        named = {
            "training": (steps, _TRAINING_LOSS),
            "training, mean of an epoch": (epochs, _TRAINING_LOSS),
        }
    else:
        named = {"training": (everything, _TRAINING_LOSS)}
    named["validation (log loss)"] = (everything, _VALIDATION_LOSS)
    lines = {}
    for label, (chosen, keys) in named.items():
        points = _points([history[i] for i in chosen], [positions[i] for i in chosen], keys)
        if len(points) > 1:
            lines[label] = points
    return lines


def _positions(
    history: History, names: Sequence[str] = ("step", "epoch")
) -> tuple[str, list[float]]:
    """Return the unit of the entries' positions, and each entry's position."""
    for name in names:
        values = [_finite(point.get(name)) for point in history]
        if values and None not in values:
            return name, [value for value in values if value is not None]
    return "point", [float(index + 1) for index in range(len(history))]


def _points(history: History, positions: Sequence[float], keys: Sequence[str]) -> Points:
    points = []
    for position, point in zip(positions, history, strict=True):
        found = _value(point, keys)
        if found is not None:
            points.append((position, found))
    return sorted(points, key=lambda pair: pair[0])


def _value(point: Mapping[str, Any], keys: Sequence[str]) -> float | None:
    """Return the first of these values that an entry has."""
    return next((v for key in keys if (v := _finite(point.get(key))) is not None), None)


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)


def _is_rate(key: str) -> bool:
    return "learning_rate" in key or key == "lr" or key.endswith("_lr")


def _value_axis(lines: Mapping[str, Points]) -> Axis:
    values = [y for points in lines.values() for _, y in thin(points)]
    # A loss that is never below 0 has an axis from 0.
    return nice_axis(values, from_zero=min(values) >= 0)


def _chart(id: str, title: str, unit: str, lines: Mapping[str, Points], y_axis: Axis) -> Chart:
    write = percent if id == "metrics" else number
    series, words = [], []
    for style, (label, whole) in enumerate(lines.items()):
        points = thin(whole)
        notes = [f"{label}, {unit} {number(x)}: {write(y)}" for x, y in points]
        series.append(Series(label, points, notes, style))
        words.append(f"{label} from {write(whole[0][1])} to {write(whole[-1][1])}")
    x_values = [x for points in lines.values() for x, _ in points]
    start = min(x_values)
    from_zero = start > 0 and start < 0.2 * max(x_values)
    x_axis = nice_axis(x_values, unit, from_zero=from_zero, whole=True)
    return line_chart(id, title, "; ".join(words) + ".", series, x_axis, y_axis)
