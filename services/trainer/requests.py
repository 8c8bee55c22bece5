"""Requests to the trainer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktt_core.errors import InvalidArgumentError, NotFoundError
from trainer.specs import EvaluationSpec, TrainingSpec

if TYPE_CHECKING:
    from ktt_core.datasets.options import ImportOptions

__all__ = ["Baseline", "EvaluateRequest", "RowSource", "Run", "TrainRequest"]


@dataclass(frozen=True)
class RowSource:
    """Source of labelled rows other than the dataset that a model was trained on.

    Attributes
    ----------
    dataset : str
        A dataset of the workspace.
    file : Path or None
        A file of this machine.
    server_path : str
        A file where the trainer runs.
    upload : str
        An earlier, unfinished upload of `file`.
    options : ImportOptions or None
        Options for reading the file.
    """

    dataset: str = ""
    file: Path | None = None
    server_path: str = ""
    upload: str = ""
    options: ImportOptions | None = None


@dataclass(frozen=True)
class Baseline:
    """The checkpoint that others are compared with.

    Attributes
    ----------
    dataset : str
        Its training dataset; empty for that of the evaluated model.
    model : str
        Empty for the same model.
    time : str
        The start of its run; empty for the newest.
    """

    dataset: str = ""
    model: str = ""
    time: str = ""


@dataclass(frozen=True)
class EvaluateRequest:
    """Test models' checkpoints.

    Attributes
    ----------
    dataset : str
        Dataset that the models were trained on.
    models : tuple of str
    split : str
        "train", "val" or "test".
    label, time : str
        Checkpoint: "best" or "last", of the newest run or of the run with that start.
    rows : RowSource
        The rows, if they are not the split's of `dataset`.
    baseline : Baseline or None
        Checkpoint that each of them is compared with.
    unseen : bool
        Whether to leave out rows whose text a model was trained or calibrated on.
    errors_folder : Path or None
        An existing folder for the rows that were answered wrong, a Parquet file per model.
    """

    dataset: str
    models: tuple[str, ...]
    split: str = "test"
    label: str = "best"
    time: str = ""
    rows: RowSource = RowSource()
    baseline: Baseline | None = None
    unseen: bool = False
    errors_folder: Path | None = None

    def specs(self, *, on_file: str = "", upload_id: str = "") -> list[EvaluationSpec]:
        """Return the spec of each model's job.

        Parameters
        ----------
        on_file : str
            The file's absolute path where the trainer runs.
        upload_id : str
            The upload that holds it.
        """
        against = self.baseline
        return [
            EvaluationSpec(
                self.dataset,
                model,
                self.split,
                self.label,
                self.time,
                on_dataset=self.rows.dataset,
                on_file=on_file,
                upload_id=upload_id,
                file_options=self.rows.options.to_json() if self.rows.options else {},
                baseline_dataset=(against.dataset or self.dataset) if against else "",
                baseline_model=(against.model or model) if against else "",
                baseline_run_time=against.time if against else "",
                unseen=self.unseen,
                list_errors=self.errors_folder is not None,
            )
            for model in dict.fromkeys(self.models)
        ]


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
    where_known : mapping
        Hyperparameters for the models that have them, at least one.
    resume : bool
        Whether to continue unfinished runs. Of several, those with nothing to continue are left
        out.
    resume_time : str
        The start of the run to continue; empty for each model's and dataset's newest.
    """

    datasets: tuple[str, ...]
    models: tuple[str, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    epochs: int | None = None
    reference: bool = False
    dry_run: bool = False
    where_known: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    resume_time: str = ""

    def expand(
        self,
        known_models: Callable[[], Iterable[str]],
        known_keys: Callable[[str], Container[str]],
    ) -> list[TrainingSpec]:
        """Return the spec of each run's job, dataset by dataset.

        Parameters
        ----------
        known_models : callable
            Returns the ids of all models there are; only asked if there are `hyperparameters`.
        known_keys : callable
            Returns the hyperparameters of a model; only asked if there are some `where_known`.

        Raises
        ------
        InvalidArgumentError
            If arguments contradict each other, a hyperparameter is given twice, or none of the
            models has one of `where_known`.
        NotFoundError
            If `hyperparameters` name models that do not exist.
        """
        if not self.datasets:
            raise InvalidArgumentError("name at least one dataset to train on")
        if not self.models:
            raise InvalidArgumentError("name at least one model to train")
        pairs = dict.fromkeys(itertools.product(self.datasets, self.models))
        specs = [
            TrainingSpec(
                dataset,
                model,
                reference_set=self.reference,
                dry_run=self.dry_run,
                resume=self.resume,
                resume_time=self.resume_time,
            )
            for dataset, model in pairs
        ]
        specs[0].check()  # as all of them
        if self.resume_time and len(specs) > 1:
            raise InvalidArgumentError(
                "a time names one run: name one dataset and one model with it", field="resume_time"
            )
        merged = self._merged(known_models, known_keys)
        return [replace(spec, hyperparameters=merged[spec.model]) for spec in specs]

    def _merged(
        self,
        known_models: Callable[[], Iterable[str]],
        known_keys: Callable[[str], Container[str]],
    ) -> dict[str, dict[str, Any]]:
        """Return the hyperparameters of each model, by model id."""
        if self.hyperparameters:
            known = set(known_models())
            if strangers := sorted(set(self.hyperparameters) - known):
                raise NotFoundError(
                    f"the hyperparameter file names {', '.join(map(repr, strangers))}; "
                    f"the models are: {', '.join(sorted(known)) or 'none'}"
                )
        overrides = dict(self.overrides)
        if self.epochs is not None:
            if overrides.get("epochs", self.epochs) != self.epochs:
                raise InvalidArgumentError(
                    f"epochs is given twice: {self.epochs} and {overrides['epochs']}"
                )
            overrides["epochs"] = self.epochs
        merged = {
            model: {**self.hyperparameters.get(model, {}), **overrides}
            for model in dict.fromkeys(self.models)
        }
        self._add_where_known(merged, known_keys)
        return merged

    def _add_where_known(
        self, merged: dict[str, dict[str, Any]], known_keys: Callable[[str], Container[str]]
    ) -> None:
        if not self.where_known:
            return
        keys = {model: known_keys(model) for model in merged}
        for key, value in self.where_known.items():
            if self.overrides.get(key, value) != value:
                raise InvalidArgumentError(
                    f"{key} is given twice: {value} and {self.overrides[key]}"
                )
            taking = [model for model in merged if key in keys[model]]
            if not taking:
                raise InvalidArgumentError(
                    f"none of these models has the hyperparameter {key!r}: {', '.join(merged)}"
                )
            for model in taking:
                merged[model][key] = value


@dataclass(frozen=True)
class Run:
    """One of a request's runs.

    Attributes
    ----------
    index, total : int
        Number of the run, from 0, and of all runs.
    dataset, model : str
    """

    index: int
    total: int
    dataset: str
    model: str
