"""The trainer: datasets, training runs, evaluations and their results.

`Trainer` holds the handlers. They take and return plain values and raise
`ktt_core.errors.KttError`; what carries them over a wire (`trainer.servicer`, `trainer.messages`),
or shows them to a person, is built on top.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.evaluation_details import UnknownClasses
    from trainer.handlers import Trainer
    from trainer.job_results import evaluation_result, run_result
    from trainer.report_files import ReportFile
    from trainer.requests import Baseline, EvaluateRequest, RowSource, Run, TrainRequest
    from trainer.results import (
        CheckpointInfo,
        DatasetInfo,
        EncoderInfo,
        EvaluationResult,
        ModelInfo,
        RunEvent,
        RunResult,
    )
    from trainer.specs import (
        KINDS,
        EvaluationOutcome,
        EvaluationSpec,
        TrainingOutcome,
        TrainingSpec,
    )

__all__ = [
    "KINDS",
    "Baseline",
    "CheckpointInfo",
    "DatasetInfo",
    "EncoderInfo",
    "EvaluateRequest",
    "EvaluationOutcome",
    "EvaluationResult",
    "EvaluationSpec",
    "ModelInfo",
    "ReportFile",
    "RowSource",
    "Run",
    "RunEvent",
    "RunResult",
    "TrainRequest",
    "Trainer",
    "TrainingOutcome",
    "TrainingSpec",
    "UnknownClasses",
    "evaluation_result",
    "run_result",
]

_MODULES = {
    "Baseline": "requests",
    "EvaluateRequest": "requests",
    "EvaluationOutcome": "specs",
    "EvaluationSpec": "specs",
    "KINDS": "specs",
    "ReportFile": "report_files",
    "RowSource": "requests",
    "Run": "requests",
    "TrainRequest": "requests",
    "Trainer": "handlers",
    "TrainingOutcome": "specs",
    "TrainingSpec": "specs",
    "UnknownClasses": "evaluation_details",
    "evaluation_result": "job_results",
    "run_result": "job_results",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"trainer.{_MODULES.get(name, 'results')}"), name)
