"""Checks of a command's jobs before the first is submitted."""

from __future__ import annotations

from collections.abc import Sequence

from cli.backend.job_calls import JobCalls
from cli.backend.job_group import JobRequest
from ktt.trainer.v1 import training_pb2
from ktt_core.errors import InvalidArgumentError, InvalidConfigError, NothingToResumeError
from trainer import TrainingSpec
from trainer.messages.training import training_spec_to_proto

__all__ = ["check_all", "training_message"]


def training_message(spec: TrainingSpec) -> training_pb2.TrainingSpec:
    """Return the message of a spec.

    Raises
    ------
    InvalidConfigError
        If a hyperparameter is invalid for any model, such as a non-finite number.
    """
    try:
        return training_spec_to_proto(spec)
    except InvalidArgumentError as error:
        raise InvalidConfigError(f"{spec.model}: {error}") from error


def check_all(calls: JobCalls, requests: Sequence[JobRequest]) -> dict[int, str]:
    """Have the server check every job.

    Returns
    -------
    dict of int to str
        Jobs among several that have no run to continue, with the reasons: they may be left out.

    Raises
    ------
    InvalidConfigError
        Naming the wrong hyperparameters of all jobs.
    NothingToResumeError
        If no job has a run to continue.
    KttError
        For other errors of the first invalid job.
    """
    problems: list[str] = []
    left_out: dict[int, str] = {}
    for at, request in enumerate(requests):
        try:
            calls.check(request.spec)
        except InvalidConfigError as error:
            problems += [line for line in str(error).splitlines() if line not in problems]
        except NothingToResumeError as error:
            left_out[at] = str(error)
    if problems:
        raise InvalidConfigError("\n".join(problems))
    if requests and len(left_out) == len(requests):
        raise NothingToResumeError("\n".join(left_out.values()))
    return left_out
