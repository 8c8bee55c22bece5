"""Evaluation as messages, and back: specs and outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ktt.trainer.v1 import evaluation_pb2
from ktt_core.datasets.options import ImportOptions
from ktt_core.difference import Difference
from ktt_core.fields import at_field, within
from ktt_rpc.job_messages import JobCodec
from trainer.evaluation_details import Comparison, RowFigures, UnknownClass, UnknownClasses
from trainer.messages.datasets import import_options_from_proto, import_options_to_proto
from trainer.specs import EvaluationOutcome, EvaluationSpec

__all__ = [
    "CODEC",
    "evaluation_outcome_from_proto",
    "evaluation_outcome_to_proto",
    "evaluation_spec_from_proto",
    "evaluation_spec_to_proto",
]


def evaluation_spec_to_proto(spec: EvaluationSpec) -> evaluation_pb2.EvaluationSpec:
    """Return the message of an evaluation job's spec."""
    message = evaluation_pb2.EvaluationSpec(
        dataset=spec.dataset,
        model=spec.model,
        split=spec.split,
        label=spec.label,
        run_time=spec.run_time,
        unseen=spec.unseen,
        list_errors=spec.list_errors,
    )
    if spec.on_dataset:
        message.on_dataset = spec.on_dataset
    elif spec.upload_id:
        message.upload_id = spec.upload_id
    elif spec.on_file:
        message.server_path = spec.on_file
    if spec.file_options:
        options = ImportOptions.from_json(spec.file_options)
        message.file_options.CopyFrom(import_options_to_proto(options))
    if spec.baseline_dataset or spec.baseline_model:
        message.baseline.CopyFrom(
            evaluation_pb2.EvaluationBaseline(
                dataset=spec.baseline_dataset,
                model=spec.baseline_model,
                run_time=spec.baseline_run_time,
            )
        )
    return message


def evaluation_spec_from_proto(message: evaluation_pb2.EvaluationSpec) -> EvaluationSpec:
    """Return the evaluation job's spec of a message.

    Raises
    ------
    InvalidArgumentError
        If an option of a file is out of range, or two contradict each other.
    """
    options: Mapping[str, Any] = {}
    if message.HasField("file_options"):
        with at_field("file_options"), within("file_options"):
            options = import_options_from_proto(message.file_options).to_json()
    against = message.baseline if message.HasField("baseline") else None
    return EvaluationSpec(
        dataset=message.dataset,
        model=message.model,
        split=message.split or EvaluationSpec.split,
        label=message.label or EvaluationSpec.label,
        run_time=message.run_time,
        on_dataset=message.on_dataset,
        on_file=message.server_path,
        upload_id=message.upload_id,
        file_options=options,
        baseline_dataset=(against.dataset or message.dataset) if against else "",
        baseline_model=(against.model or message.model) if against else "",
        baseline_run_time=against.run_time if against else "",
        unseen=message.unseen,
        list_errors=message.list_errors,
    )


def evaluation_outcome_to_proto(outcome: EvaluationOutcome) -> evaluation_pb2.EvaluationResult:
    """Return the message of what an evaluation job measured."""
    return evaluation_pb2.EvaluationResult(**outcome.to_json())


def evaluation_outcome_from_proto(message: evaluation_pb2.EvaluationResult) -> EvaluationOutcome:
    """Give what an evaluation job measured of a message."""
    return EvaluationOutcome(
        checkpoint_path=message.checkpoint_path,
        rows=message.rows,
        figures=dict(message.figures),
        warnings=tuple(message.warnings),
        seconds=message.seconds,
        on=message.on,
        all_rows=_row_figures(message.all_rows) if message.HasField("all_rows") else None,
        unknown=_unknown(message.unknown) if message.HasField("unknown") else None,
        seen_rows=message.seen_rows,
        comparison=_comparison(message.comparison) if message.HasField("comparison") else None,
        error_rows=message.error_rows,
    )


CODEC = JobCodec(
    evaluation_pb2,
    evaluation_spec_to_proto,
    evaluation_spec_from_proto,
    evaluation_outcome_to_proto,
    evaluation_outcome_from_proto,
)


def _row_figures(message: evaluation_pb2.RowFigures) -> RowFigures:
    return RowFigures(message.rows, dict(message.figures))


def _unknown(message: evaluation_pb2.UnknownClasses) -> UnknownClasses:
    return UnknownClasses(
        message.rows,
        message.classes,
        message.partly_known_rows,
        tuple(UnknownClass(tuple(it.path), it.rows) for it in message.largest),
    )


def _comparison(message: evaluation_pb2.EvaluationComparison) -> Comparison:
    return Comparison(
        dataset=message.dataset,
        model=message.model,
        checkpoint_path=message.checkpoint_path,
        figures=dict(message.figures),
        differences=_differences(message.differences),
        all_rows=_row_figures(message.all_rows),
        all_differences=_differences(message.all_differences),
        unknown=_unknown(message.unknown),
    )


def _differences(
    messages: Mapping[str, evaluation_pb2.FigureDifference],
) -> dict[str, Difference]:
    return {name: Difference(it.value, it.low, it.high) for name, it in messages.items()}
