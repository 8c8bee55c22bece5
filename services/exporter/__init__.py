"""The exporter: trained checkpoints put to use.

`Exporter` holds the handlers. They take and return plain values and raise
`ktt_core.errors.KttError`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exporter.handlers import Exporter

__all__ = ["Exporter"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("exporter.handlers"), name)
