"""What a checkpoint says about the run that made it, besides the model itself."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ktt_core.errors import CheckpointError

__all__ = ["RunRecord", "installed_versions"]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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
    history : list of dict of str to float
        How training went, a point per entry: "step" or "epoch", "loss", "learning_rate", metrics
        of the validation split, "val_loss" ...; what a point does not know it leaves out. "pass"
        counts the epochs since a solver last started from zero, where it does so more than once.
    """

    dataset: str = ""
    fingerprint: str = ""
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    created: str = field(default_factory=_now)
    versions: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {
            "dataset": {"name": self.dataset, "fingerprint": self.fingerprint},
            "metrics": self.metrics,
            "created": self.created,
            "versions": self.versions,
            "history": self.history,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunRecord:
        """Undo `to_json`; what is missing stays empty.

        Raises
        ------
        CheckpointError
            If something is there, but of another type.
        """
        dataset = _object(value, "dataset")
        metrics = _object(value, "metrics")
        versions = _object(value, "versions")
        return cls(
            dataset=_text(dataset, "name"),
            fingerprint=_text(dataset, "fingerprint"),
            metrics={
                split: {name: _number(figures, name) for name in figures}
                for split, figures in ((split, _object(metrics, split)) for split in metrics)
            },
            created=_text(value, "created"),
            versions={name: _text(versions, name) for name in versions},
            history=[
                {name: _number(point, name) for name in point}
                for point in _points(value, "history")
            ],
        )


def _damaged(key: str, wanted: str, found: Any) -> CheckpointError:
    return CheckpointError(
        f"the record of the run is damaged: {key!r:.60} is no {wanted}, but {found!r:.60}. "
        "Use another checkpoint, or train again"
    )


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key, {})
    if not isinstance(found, dict):
        raise _damaged(key, "object", found)
    return found


def _points(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = value.get(key, [])
    if not isinstance(found, list) or not all(isinstance(point, dict) for point in found):
        raise _damaged(key, "list of objects", found)
    return found


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key, "")
    if not isinstance(found, str):
        raise _damaged(key, "text", found)
    return found


def _number(value: Mapping[str, Any], key: str) -> float:
    found = value[key]
    # A whole number may be too large for a float; JSON as Python reads it may hold NaN.
    if type(found) is int and abs(found) < 2**53 or type(found) is float and math.isfinite(found):
        return float(found)
    raise _damaged(key, "finite number", found)


def installed_versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of those `packages` that are installed."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # loaded from a place without metadata: its version is unknown
    return versions
