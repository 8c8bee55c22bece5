"""What a checkpoint says about the run that made it, besides the model itself."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol, runtime_checkable

__all__ = ["KeepsRecord", "RunRecord", "installed_versions"]


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class RunRecord:
    """Where a model's weights come from.

    Attributes
    ----------
    dataset : str
        The dataset's name; empty if it was trained without one.
    fingerprint : str
        Of the dataset's contents.
    metrics : dict of str to dict of str to float
        Per split ("val", "test") the figures by their names in `ktt_core.metrics`.
    created : str
        When the training began, UTC.
    versions : dict of str to str
        Of Python and of the packages that made the weights.
    """

    dataset: str = ""
    fingerprint: str = ""
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    created: str = field(default_factory=_now)
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {
            "dataset": {"name": self.dataset, "fingerprint": self.fingerprint},
            "metrics": self.metrics,
            "created": self.created,
            "versions": self.versions,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunRecord:
        """Undo `to_json`; what is missing stays empty."""
        dataset = value.get("dataset") or {}
        return cls(
            dataset=str(dataset.get("name", "")),
            fingerprint=str(dataset.get("fingerprint", "")),
            metrics={
                str(split): {str(name): float(figure) for name, figure in figures.items()}
                for split, figures in (value.get("metrics") or {}).items()
            },
            created=str(value.get("created", "")),
            versions={
                str(name): str(version) for name, version in (value.get("versions") or {}).items()
            },
        )


@runtime_checkable
class KeepsRecord(Protocol):
    """A model whose checkpoints carry a `RunRecord`; the trainer fills it in."""

    record: RunRecord


def installed_versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of those `packages` that are installed."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # loaded from a place without metadata: its version is unknown
    return versions
