"""What the trainer is asked to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ktt_core.errors import InvalidArgumentError, NotFoundError

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

    def merged(self, known_models: Callable[[], Iterable[str]]) -> dict[str, dict[str, Any]]:
        """Return the hyperparameters that each of the models is to have, by model id.

        Parameters
        ----------
        known_models : callable
            Returns the ids of all models there are; only asked if there are `hyperparameters`.

        Raises
        ------
        InvalidArgumentError
            If epochs are given twice.
        NotFoundError
            If `hyperparameters` speak of models that do not exist.
        """
        if self.hyperparameters:
            known = set(known_models())
            if strangers := sorted(set(self.hyperparameters) - known):
                raise NotFoundError(
                    f"the hyperparameter file speaks of {', '.join(map(repr, strangers))}; "
                    f"the models are: {', '.join(sorted(known)) or 'none'}"
                )
        overrides = dict(self.overrides)
        if self.epochs is not None:
            if overrides.get("epochs", self.epochs) != self.epochs:
                raise InvalidArgumentError(
                    f"epochs is given twice: {self.epochs} and {overrides['epochs']}"
                )
            overrides["epochs"] = self.epochs
        return {
            model: {**self.hyperparameters.get(model, {}), **overrides}
            for model in dict.fromkeys(self.models)
        }


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
