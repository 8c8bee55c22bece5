"""The exporter: exports of checkpoints, and predictions with them.

`Exporter` holds the handlers. They take and return plain values and raise
`ktt_core.errors.KttError`. `exporter.messages` converts those values to messages,
`exporter.servicer` answers calls with them, and `exporter.main` is the server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.handlers import Exporter
    from exporter.job_kind import EXPORT, KINDS
    from exporter.requests import ExportSpec
    from exporter.results import (
        ExportedCheckpoint,
        ExportedFile,
        ExportResult,
        Manifest,
        ParityResult,
        QuantizationResult,
    )

__all__ = [
    "EXPORT",
    "KINDS",
    "ExportResult",
    "ExportSpec",
    "ExportedCheckpoint",
    "ExportedFile",
    "Exporter",
    "Manifest",
    "ParityResult",
    "QuantizationResult",
]

_MODULES = {
    "EXPORT": "job_kind",
    "KINDS": "job_kind",
    "Exporter": "handlers",
    "ExportSpec": "requests",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"exporter.{_MODULES.get(name, 'results')}"), name)
