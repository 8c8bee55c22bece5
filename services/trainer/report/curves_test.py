"""Charts of a run's history."""

from __future__ import annotations

import math
from typing import Any

from trainer.report.charts import MAX_POINTS, thin
from trainer.report.curves import curves, validated


def shown(history):
    return {chart.id: [line.name for line in chart.lines] for chart in curves(history)}


def test_epochs_of_a_model_without_steps():
    history = [{"epoch": float(n), "loss": 1.0 / n} for n in range(1, 5)]
    history[-1] |= {"hierarchical_f1": 0.9}
    assert shown(history) == {"loss": ["training"]}
    assert curves(history)[0].x_axis.label == "epoch"
    assert validated(history) == ("epoch", [(4.0, 0.9)], 0)


def test_steps_and_epochs_are_separate_lines():
    history = []
    for epoch in (1, 2, 3):
        history += [
            {"step": 10.0 * epoch - n, "loss": 1.0, "learning_rate": 1e-4} for n in (9, 5, 1)
        ]
        point = {"epoch": float(epoch), "step": 10.0 * epoch, "loss": 2.0}
        history.append({**point, "hierarchical_f1": 0.5 + 0.1 * epoch, "leaf_accuracy": 0.4})
    assert shown(history) == {
        "loss": ["training", "training, mean of an epoch"],
        "metrics": ["hierarchical F1", "leaf accuracy"],
        "rate": ["learning rate"],
    }
    assert curves(history)[0].x_axis.label == "step"
    unit, points, best = validated(history)
    assert (unit, [x for x, _ in points]) == ("epoch", [1.0, 2.0, 3.0])
    assert best == 2


def test_the_validation_loss_is_a_separate_line():
    history = [{"epoch": n, "loss": 1.0, "val_loss": 2.0} for n in (1, 2)]
    assert shown(history) == {"loss": ["training", "validation (log loss)"]}


def test_a_solver_with_several_starts_has_two_monotonic_lines():
    figures = [(0.55, 0.06), (0.54, 0.05), (0.56, 0.07)]
    history = [
        {"epoch": 2.0 * start + number + 1, "loss": loss, "pass": number + 1.0}
        for start, pair in enumerate(figures)
        for number, loss in enumerate(pair)
    ]
    lines = curves(history)[0].lines
    assert [line.name for line in lines] == [
        "training, first pass of a start",
        "training, last pass of a start",
    ]
    for line, name in zip(lines, ("0.5", "0.0"), strict=True):
        assert len(line.marks) == 3
        assert all(f": {name}" in mark.note for mark in line.marks)
    # A solver with a single start has one line, with any number of passes.
    once = [{"epoch": n, "loss": 1 / n, "pass": n} for n in (1.0, 2.0, 3.0)]
    assert shown(once) == {"loss": ["training"]}
    anew_each_time = [{"epoch": n, "loss": 1 / n, "pass": 1.0} for n in (1.0, 2.0, 3.0)]
    assert shown(anew_each_time) == {"loss": ["training"]}


def test_among_equally_good_states_the_one_with_the_lowest_loss_is_the_best():
    def best(*states):
        keys = ("epoch", "hierarchical_f1", "val_loss")
        return validated([dict(zip(keys, state, strict=False)) for state in states])[2]

    assert best((1, 0.5), (2, 0.9), (3, 0.9)) == 1
    assert best((1, 0.5, 0.1), (2, 0.9, 0.3), (3, 0.9, 0.2), (4, 0.9, 0.2)) == 2
    assert best((1, 0.9), (2, 0.9, 0.3)) == 1


def test_single_and_non_finite_values_are_not_drawn():
    assert curves([]) == [] and validated([]) == ("epoch", [], 0)
    assert curves([{"loss": 1.0}]) == []
    history: list[Any] = [{"loss": math.nan}, {"loss": "high"}, {"loss": True}, {"loss": 1.0}]
    assert curves(history) == []
    assert shown([*history, {"loss": 2.0}]) == {"loss": ["training"]}


def test_long_curves_are_thinned_and_keep_their_end():
    points = [(float(n), math.sin(n)) for n in range(10_001)]
    thinned = thin(points)
    assert len(thinned) <= MAX_POINTS and thinned[-1] == points[-1]
    assert [x for x, _ in thinned] == sorted(x for x, _ in thinned)
    assert abs(sum(y for _, y in thinned[:-1]) / len(thinned)) < 0.01
    assert thin(points[:50]) == points[:50]
    assert thin([(1.0, math.inf), (2.0, 3.0)]) == [(2.0, 3.0)]
