"""What a run's history shows."""

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


def test_steps_and_epochs_are_lines_of_their_own():
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


def test_a_loss_of_the_validation_rows_is_a_line_beside_it():
    history = [{"epoch": n, "loss": 1.0, "val_loss": 2.0} for n in (1, 2)]
    assert shown(history) == {"loss": ["training", "validation (log loss)"]}


def test_a_solver_that_starts_anew_has_two_lines_and_neither_zigzags():
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
    # One start is one line, however many passes it has.
    once = [{"epoch": n, "loss": 1 / n, "pass": n} for n in (1.0, 2.0, 3.0)]
    assert shown(once) == {"loss": ["training"]}
    anew_each_time = [{"epoch": n, "loss": 1 / n, "pass": 1.0} for n in (1.0, 2.0, 3.0)]
    assert shown(anew_each_time) == {"loss": ["training"]}


def test_of_equally_good_states_the_one_with_the_least_loss_is_the_best():
    def best(*states):
        keys = ("epoch", "hierarchical_f1", "val_loss")
        return validated([dict(zip(keys, state, strict=False)) for state in states])[2]

    assert best((1, 0.5), (2, 0.9), (3, 0.9)) == 1
    assert best((1, 0.5, 0.1), (2, 0.9, 0.3), (3, 0.9, 0.2), (4, 0.9, 0.2)) == 2
    assert best((1, 0.9), (2, 0.9, 0.3)) == 1


def test_what_is_no_number_or_known_once_is_not_drawn():
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
