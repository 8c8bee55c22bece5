"""From a command to the specs of its jobs, all of them checked before the first is submitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cli.backend.batch import Piece
from cli.backend.job_calls import JobCalls
from ktt.trainer.v1 import training_pb2
from ktt_core.errors import InvalidArgumentError, InvalidConfigError
from trainer import TrainingSpec
from trainer.messages.jobs import training_spec_to_proto

if TYPE_CHECKING:
    from trainer import ModelInfo, TrainRequest

__all__ = ["check_all", "training_message", "training_specs"]


def training_specs(
    request: TrainRequest, list_models: Callable[[], Sequence[ModelInfo]]
) -> list[TrainingSpec]:
    """Return the specs of a request's runs, dataset by dataset.

    Overrides for all models win over those of the file, as they do in a run here.

    Parameters
    ----------
    request : TrainRequest
    list_models : callable
        The models there are; only asked if there is a file.

    Raises
    ------
    InvalidArgumentError
        If epochs are given twice.
    NotFoundError
        If the file speaks of models that do not exist.
    """
    merged = request.merged(lambda: [model.id for model in list_models()])
    return [
        TrainingSpec(
            dataset=dataset,
            model=model,
            hyperparameters=merged[model],
            reference_set=request.reference,
            dry_run=request.dry_run,
        )
        for dataset in dict.fromkeys(request.datasets)
        for model in dict.fromkeys(request.models)
    ]


def training_message(spec: TrainingSpec) -> training_pb2.TrainingSpec:
    """Return the message of a spec.

    Raises
    ------
    InvalidConfigError
        If a hyperparameter is one that no model can have, such as a number that is not finite.
    """
    try:
        return training_spec_to_proto(spec)
    except InvalidArgumentError as error:
        raise InvalidConfigError(f"{spec.model}: {error}") from error


def check_all(calls: JobCalls, pieces: Sequence[Piece]) -> None:
    """Have every job checked by the server.

    Raises
    ------
    InvalidConfigError
        Naming the wrong hyperparameters of all jobs.
    KttError
        What else is wrong with the first job that has something wrong.
    """
    problems: list[str] = []
    for piece in pieces:
        try:
            calls.check(piece.spec)
        except InvalidConfigError as error:
            problems += [line for line in str(error).splitlines() if line not in problems]
    if problems:
        raise InvalidConfigError("\n".join(problems))
