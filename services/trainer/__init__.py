"""The trainer: datasets, training runs, evaluations and what there is of them.

`Trainer` holds the handlers. They take and return plain values and raise
`ktt_core.errors.KttError`; what carries them over a wire, or shows them to a person, is built on
top.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.handlers import Trainer
    from trainer.requests import Run, TrainRequest
    from trainer.results import (
        CheckpointInfo,
        DatasetInfo,
        EvaluationResult,
        ModelInfo,
        RunEvent,
        RunResult,
    )

__all__ = [
    "CheckpointInfo",
    "DatasetInfo",
    "EvaluationResult",
    "ModelInfo",
    "Run",
    "RunEvent",
    "RunResult",
    "TrainRequest",
    "Trainer",
]

_MODULES = {"Trainer": "handlers", "Run": "requests", "TrainRequest": "requests"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"trainer.{_MODULES.get(name, 'results')}"), name)
