"""What a checkpoint says about the run that made it, besides the model itself."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ktt_core.documents import Damaged, Document
from ktt_core.errors import CheckpointError

__all__ = ["RunRecord", "installed_versions"]


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class _Dataset(Document):
    name: str = ""
    fingerprint: str = ""


def _damaged(problem: str) -> CheckpointError:
    return CheckpointError(
        f"the record of the run is damaged: {problem}. Use another checkpoint, or train again"
    )


@dataclass
class RunRecord(Document):
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
        value = super().to_json()
        del value["fingerprint"]
        return {**value, "dataset": {"name": self.dataset, "fingerprint": self.fingerprint}}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], damaged: Damaged | None = None) -> RunRecord:
        """Undo `to_json`; what is missing stays empty.

        Raises
        ------
        CheckpointError
            If something is there, but of another type.
        """
        tell = damaged or _damaged
        dataset = _Dataset.from_json(
            value.get("dataset", {}), lambda problem: tell(f"'dataset': {problem}")
        )
        flat = {"dataset": dataset.name, "fingerprint": dataset.fingerprint}
        return super().from_json({"created": "", **value, **flat}, tell)


def installed_versions(*packages: str) -> dict[str, str]:
    """Return the versions of Python and of those `packages` that are installed."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # loaded from a place without metadata: its version is unknown
    return versions
