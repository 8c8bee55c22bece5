"""The state of a run, besides the weights and the optimizer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ktt_core.errors import CheckpointError

__all__ = ["BestState", "TrainingState", "step_seed"]

Arrays = dict[str, NDArray[Any]]


@dataclass
class BestState:
    """The best weights by the validation metrics.

    Attributes
    ----------
    step : int
        Step of these weights.
    temperature : float
    metrics : dict of str to float
        Validation metrics.
    arrays : dict of str to ndarray, or None
        The trained weights, by their names.
    """

    step: int
    temperature: float
    metrics: dict[str, float]
    arrays: Arrays = field(default_factory=dict)


@dataclass
class TrainingState:
    """The state of a run between two steps.

    Attributes
    ----------
    step : int
        Steps done.
    epoch, batch : int
        Epochs done, and batches done of the next one.
    losses : float
        Sum of the losses since the last point of the history.
    epoch_losses : float
        Sum of the losses of this epoch.
    since_gain : int
        Epochs since the best one.
    temperature : float
        Fitted after the last epoch.
    finished : bool
        Whether the run is finished.
    metrics : dict of str to float
        The last validation metrics.
    history : list of dict
        As in `ktt_core.checkpoints.record.RunRecord`.
    scaler : dict
        The state of fp16's loss scaling; empty without.
    best : BestState or None
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    losses: float = 0.0
    epoch_losses: float = 0.0
    since_gain: int = 0
    temperature: float = 1.0
    finished: bool = False
    metrics: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    scaler: dict[str, float] = field(default_factory=dict)
    best: BestState | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON values, without the best weights and the history."""
        value = {name: getattr(self, name) for name in _NUMBERS}
        best = self.best and {
            "step": self.best.step,
            "temperature": self.best.temperature,
            "metrics": self.best.metrics,
        }
        return {**value, "metrics": self.metrics, "scaler": self.scaler, "best": best}

    @classmethod
    def from_json(
        cls, value: Any, history: list[dict[str, float]], best_arrays: Arrays
    ) -> TrainingState:
        """Undo `to_json`.

        Raises
        ------
        CheckpointError
            If the value is not valid.
        """
        if not isinstance(value, Mapping):
            raise CheckpointError("the state of the training is not an object")
        fields: dict[str, Any] = {}
        for name, kind in _NUMBERS.items():
            found: Any = value.get(name)
            if kind is float and type(found) is int:
                found = float(found)
            right = type(found) is kind
            if not (right and -(2**53) < found < 2**53):
                raise CheckpointError(f"the state of the training has no valid {name!r}")
            fields[name] = found
        best = value.get("best")
        return cls(
            **fields,
            metrics=_figures(value.get("metrics"), "metrics"),
            scaler=_figures(value.get("scaler"), "scaler"),
            history=[dict(point) for point in history],
            best=None if best is None else _best(best, best_arrays),
        )


_NUMBERS: dict[str, type] = {
    "step": int,
    "epoch": int,
    "batch": int,
    "losses": float,
    "epoch_losses": float,
    "since_gain": int,
    "temperature": float,
    "finished": bool,
}


def _best(value: Any, arrays: Arrays) -> BestState:
    if not isinstance(value, Mapping) or type(value.get("step")) is not int:
        raise CheckpointError("the best state of the training is damaged")
    temperature = _figures({"temperature": value.get("temperature")}, "best")["temperature"]
    if temperature <= 0.0:
        raise CheckpointError("the best state of the training has no temperature above 0")
    return BestState(value["step"], temperature, _figures(value.get("metrics"), "best"), arrays)


def _figures(value: Any, name: str) -> dict[str, float]:
    if not isinstance(value, Mapping) or not all(
        type(figure) in (int, float) and math.isfinite(figure) for figure in value.values()
    ):
        raise CheckpointError(f"the state of the training has no valid {name!r}")
    return {str(key): float(figure) for key, figure in value.items()}


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return the seed of a step's random choices in one process.

    Randomness depends on the step only, so a continued run needs no generator state, and draws the
    same numbers as an uninterrupted one.
    """
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)
