"""Our training loop and the original's way, in turns."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ktt_core.config import build_config
from ktt_core.datasets.dataset import Dataset
from ktt_core.progress import Progress
from ktt_core.registry import get_model
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.training.timing import PHASES, StepTimer
from training.original import OriginalWay

__all__ = ["compare"]

_COMPUTING = ("forward", "backward", "optimizer")


class _EnoughStepsError(Exception):
    """Ends our run after the steps that are wanted."""


class _Turns:
    """A progress callback that lets the other side do its steps after every few of ours.

    The first turn of both sides is not timed: it allocates what later ones use again.
    """

    def __init__(self, other: OriginalWay, timer: StepTimer, steps: int, turn: int) -> None:
        self.other, self.timer = other, timer
        self.steps, self.turn = steps, turn
        self.losses: list[float] = []
        self.tokens: list[float] = []
        self.seconds: list[tuple[float, float]] = []
        self.phases = dict.fromkeys(PHASES, 0.0)
        self.rows = 0

    def __call__(self, event: Progress) -> None:
        if event.phase != "fit" or "loss" not in event.metrics:
            return
        self.losses.append(event.metrics["loss"])
        if event.step % self.turn == 0:
            self._end_turn(first=event.step == self.turn)
        if event.step >= self.steps:
            raise _EnoughStepsError

    def _end_turn(self, first: bool) -> None:
        # Closes the running phase, so that the other side's time is in none of ours.
        self.timer("between")
        seconds = {phase: self.timer.seconds[phase] for phase in PHASES}
        start = time.perf_counter()
        self.other.train(self.turn)
        others = time.perf_counter() - start
        if not first:
            self.seconds.append((sum(seconds.values()), others))
            for phase in PHASES:
                self.phases[phase] += seconds[phase]
        for phase in PHASES:
            self.timer.seconds[phase] = 0.0
        self.timer("rest")


def compare(
    dataset: Dataset,
    model_id: str,
    settings: Mapping[str, Any],
    steps: int,
    turn: int,
    threads: int,
) -> dict[str, Any]:
    """Train both ways and return the figures.

    Parameters
    ----------
    dataset : Dataset
    model_id : str
        A model on an encoder.
    settings : mapping
        Its hyperparameters.
    steps, turn : int
        Of each side: in all, and at once.
    threads : int
        Of torch; 0 for its own choice.
    """
    if threads:
        torch.set_num_threads(threads)
    model_class = get_model(model_id)
    config = build_config(model_class.config_class, model_id, dict(settings))
    if not isinstance(config, EncoderConfig):
        raise SystemExit(f"--model {model_id} stands on no encoder")
    steps = max(2, -(-steps // turn)) * turn
    longest = config.epochs * -(-dataset.sizes["train"] // config.batch_size)
    if steps > longest:
        raise SystemExit(f"--steps {steps} are more than the {longest} of a whole run")
    model = model_class(dataset.taxonomy, config)
    load = model_class.get_dataloader_func()
    preprocessor = model.preprocessor
    train = load(dataset.split("train"), preprocessor, config, shuffle=True)
    val = load(dataset.split("val"), preprocessor, config)
    timer = StepTimer()
    turns = _Turns(OriginalWay(dataset, model_id, config), timer, steps, turn)
    model.mark = timer  # type: ignore[attr-defined]
    try:
        model.fit(train, val, progress=turns)
    except _EnoughStepsError:
        pass
    ours, others = (np.array(side) for side in zip(*turns.seconds, strict=True))
    texts = turn * config.batch_size
    total = sum(turns.phases.values())
    shares = {phase: seconds / total for phase, seconds in turns.phases.items()}
    return {
        "model": model_id,
        "batch_size": config.batch_size,
        "max_len": config.max_len,
        "steps": steps,
        "threads": torch.get_num_threads(),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "ours": {
            "texts_per_second": float(texts * len(ours) / ours.sum()),
            "tokens": _padded_length(train),
            "losses": turns.losses,
        },
        "original": {
            "texts_per_second": float(texts * len(others) / others.sum()),
            "tokens": float(config.max_len),
            "losses": turns.other.losses,
        },
        "ratio": float(others.sum() / ours.sum()),
        "ratios": [round(float(ratio), 2) for ratio in others / ours],
        "shares": shares,
        "rest": sum(share for phase, share in shares.items() if phase not in _COMPUTING),
    }


def _padded_length(loader: Any) -> float:
    """Return the mean length of a text in its batch, over one pass."""
    loader.start_at(0)
    sizes = [batch.inputs["input_ids"].shape for batch in loader]
    return float(sum(n * length for n, length in sizes) / sum(n for n, _ in sizes))
