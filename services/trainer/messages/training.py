"""Training as messages, and back: specs and outcomes."""

from __future__ import annotations

from ktt.trainer.v1 import training_pb2
from ktt_rpc.job_messages import JobCodec
from ktt_rpc.structs import dict_to_struct, struct_to_dict
from trainer.messages.models import metrics_from_proto, metrics_to_proto
from trainer.specs import TrainingOutcome, TrainingSpec

__all__ = [
    "CODEC",
    "training_outcome_from_proto",
    "training_outcome_to_proto",
    "training_spec_from_proto",
    "training_spec_to_proto",
]


def training_spec_to_proto(spec: TrainingSpec) -> training_pb2.TrainingSpec:
    """Return the message of a training job's spec.

    Raises
    ------
    InvalidArgumentError
        If a hyperparameter is not a JSON value, or a number that the message cannot hold exactly.
    """
    return training_pb2.TrainingSpec(
        dataset=spec.dataset,
        model=spec.model,
        hyperparameters=dict_to_struct(spec.hyperparameters),
        reference_set=spec.reference_set,
        dry_run=spec.dry_run,
        resume=spec.resume,
        resume_time=spec.resume_time,
    )


def training_spec_from_proto(message: training_pb2.TrainingSpec) -> TrainingSpec:
    """Return the training job's spec of a message."""
    return TrainingSpec(
        dataset=message.dataset,
        model=message.model,
        hyperparameters=struct_to_dict(message.hyperparameters),
        reference_set=message.reference_set,
        dry_run=message.dry_run,
        resume=message.resume,
        resume_time=message.resume_time,
    )


def training_outcome_to_proto(outcome: TrainingOutcome) -> training_pb2.TrainingResult:
    """Return the message of what a training job made."""
    return training_pb2.TrainingResult(
        checkpoint_path=outcome.checkpoint_path,
        reference_path=outcome.reference_path,
        run_time=outcome.run_time,
        metrics=metrics_to_proto(outcome.metrics),
        seconds=outcome.seconds,
        report_path=outcome.report_path,
        resumed=outcome.resumed,
        warnings=outcome.warnings,
    )


def training_outcome_from_proto(message: training_pb2.TrainingResult) -> TrainingOutcome:
    """Give what a training job made of a message."""
    return TrainingOutcome(
        checkpoint_path=message.checkpoint_path,
        reference_path=message.reference_path,
        run_time=message.run_time,
        metrics=metrics_from_proto(message.metrics),
        seconds=message.seconds,
        report_path=message.report_path,
        resumed=message.resumed,
        warnings=tuple(message.warnings),
    )


CODEC = JobCodec(
    training_pb2,
    training_spec_to_proto,
    training_spec_from_proto,
    training_outcome_to_proto,
    training_outcome_from_proto,
)
