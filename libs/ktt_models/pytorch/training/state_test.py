"""The state of a run survives its checkpoint, and a damaged one is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from ktt_core.config import build_config
from ktt_core.errors import CheckpointError
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.training.early_stopping import is_best, is_gain, is_over
from ktt_models.pytorch.training.state import BestState, TrainingState, step_seed

STATE = TrainingState(
    step=7,
    epoch=1,
    batch=2,
    losses=0.1 + 0.2,
    epoch_losses=3.5,
    since_gain=1,
    temperature=1.5,
    metrics={"hierarchical_f1": 0.5},
    history=[{"step": 1.0, "loss": 2.0}],
    best=BestState(5, 0.75, {"hierarchical_f1": 0.75}, {"w": np.ones(2)}),
)


def test_a_state_survives_json() -> None:
    assert STATE.best is not None
    value = json.loads(json.dumps(STATE.to_json()))
    assert TrainingState.from_json(value, STATE.history, STATE.best.arrays) == STATE
    begun = TrainingState()
    assert TrainingState.from_json(json.loads(json.dumps(begun.to_json())), [], {}) == begun


@pytest.mark.parametrize(
    "change",
    [
        {"step": "7"},
        {"step": 7.5},
        {"step": True},
        {"losses": float("nan")},
        {"losses": None},
        {"finished": 0},
        {"metrics": []},
        {"metrics": {"x": "y"}},
        {"scaler": {"scale": float("inf")}},
        {"best": 3},
        {"best": {"step": 1, "metrics": {}}},
        {"best": {"step": 1, "metrics": {}, "temperature": 0.0}},
    ],
)
def test_a_state_of_other_types_is_damaged(change: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="state of the training"):
        TrainingState.from_json({**STATE.to_json(), **change}, [], {})


def test_every_step_of_every_process_has_its_own_randomness() -> None:
    seeds = [
        step_seed(seed, step, rank) for seed in (0, 1) for step in range(50) for rank in (0, 1)
    ]
    assert len(set(seeds)) == 200
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_only_what_is_better_is_a_gain() -> None:
    assert is_gain({"hierarchical_f1": 0.1}, TrainingState())
    assert is_gain({"hierarchical_f1": 0.76}, STATE)
    assert not is_gain({"hierarchical_f1": 0.75}, STATE)
    # Without validation rows the newest state is the best.
    assert is_gain({}, STATE) and is_best({}, STATE)


def test_of_equally_good_epochs_the_one_with_the_least_validation_loss_is_kept() -> None:
    def best(figures: list[tuple[float, float]]) -> int:
        state, kept = TrainingState(), -1
        for number, (score, loss) in enumerate(figures):
            metrics = {"hierarchical_f1": score, "val_loss": loss}
            if is_best(metrics, state):
                state.best, kept = BestState(number, 1.0, metrics), number
        return kept

    assert best([(1.0, 4.76), (1.0, 0.2), (1.0, 0.3)]) == 1
    assert best([(0.9, 0.1), (1.0, 4.76), (0.9, 0.0)]) == 1
    assert best([(0.9, 0.1), (0.9, 0.1)]) == 0
    # The best of a checkpoint of an earlier version knows no loss.
    assert is_best({"hierarchical_f1": 0.75, "val_loss": 9.0}, STATE)
    assert not is_best({"hierarchical_f1": 0.74, "val_loss": 0.0}, STATE)
    # A loss that goes down a little for ever is nothing that patience waits for.
    assert not is_gain({"hierarchical_f1": 0.75, "val_loss": 0.0}, STATE)


def test_a_run_is_over_after_its_epochs_or_its_patience() -> None:
    config = build_config(EncoderConfig, "m", {"epochs": 3, "patience": 2})
    assert not is_over(TrainingState(epoch=2, since_gain=1), config)
    assert is_over(TrainingState(epoch=2, since_gain=2), config)
    assert is_over(TrainingState(epoch=3), config)
    assert not is_over(
        TrainingState(epoch=2, since_gain=2), build_config(EncoderConfig, "m", {"epochs": 3})
    )
