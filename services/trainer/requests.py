"""What the trainer is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Run", "TrainRequest"]


@dataclass(frozen=True)
class TrainRequest:
    """Train every model on every dataset.

    Attributes
    ----------
    datasets, models : tuple of str
    overrides : mapping
        Hyperparameters for all models; each must exist in every one of them.
    hyperparameters : mapping of str to mapping
        Hyperparameters per model id, under `overrides`. Those of models not asked for are not used.
    epochs : int, optional
        Overrides the hyperparameter of that name.
    reference : bool
        Whether to write reference sets.
    dry_run : bool
        Whether to train and test without writing anything.
    """

    datasets: tuple[str, ...]
    models: tuple[str, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    epochs: int | None = None
    reference: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Run:
    """One of a request's runs.

    Attributes
    ----------
    index, total : int
        Which (from 0) of how many.
    dataset, model : str
    """

    index: int
    total: int
    dataset: str
    model: str
