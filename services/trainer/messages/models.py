"""Models and checkpoints as messages, and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from google.protobuf.struct_pb2 import Struct

from ktt.trainer.v1 import models_pb2
from ktt_rpc.current_call import public_text
from ktt_rpc.structs import dict_to_struct, struct_to_dict
from trainer.results import CheckpointInfo, EncoderInfo, ModelInfo, RunState

__all__ = [
    "checkpoint_from_proto",
    "checkpoint_to_proto",
    "encoder_from_proto",
    "encoder_to_proto",
    "metrics_from_proto",
    "metrics_to_proto",
    "model_from_proto",
    "model_to_proto",
]

_RUN_STATES: dict[RunState, models_pb2.RunState] = {
    "": models_pb2.RUN_STATE_UNSPECIFIED,
    "finished": models_pb2.RUN_STATE_FINISHED,
    "unfinished": models_pb2.RUN_STATE_UNFINISHED,
    "running": models_pb2.RUN_STATE_RUNNING,
}


def model_to_proto(info: ModelInfo) -> models_pb2.Model:
    """Return the message of a model."""
    return models_pb2.Model(
        id=info.id,
        display_name=info.display_name,
        framework=info.framework,
        summary=info.summary,
        hyperparameters=[_hyperparameter_to_proto(row) for row in info.hyperparameters],
    )


def model_from_proto(message: models_pb2.Model) -> ModelInfo:
    """Return the model of a message."""
    return ModelInfo(
        id=message.id,
        display_name=message.display_name,
        framework=message.framework,
        summary=message.summary,
        hyperparameters=tuple(_hyperparameter_from_proto(row) for row in message.hyperparameters),
    )


def checkpoint_to_proto(info: CheckpointInfo, root: Path) -> models_pb2.Checkpoint:
    """Return the message of a checkpoint; its paths are relative to the workspace `root`."""
    return models_pb2.Checkpoint(
        model=info.model,
        dataset=info.dataset,
        label=info.label,
        run_time=info.time,
        path=info.path.relative_to(root).as_posix(),
        size_bytes=info.bytes,
        reference_path=info.reference.relative_to(root).as_posix() if info.reference else "",
        metrics=metrics_to_proto(info.metrics),
        problem=public_text(info.problem),
        report_path=info.report.relative_to(root).as_posix() if info.report else "",
        run_state=_RUN_STATES[info.run_state],
        epochs_done=info.epochs_done,
        epochs=info.epochs,
    )


def checkpoint_from_proto(message: models_pb2.Checkpoint, root: Path = Path()) -> CheckpointInfo:
    """Return the checkpoint of a message; its paths begin with `root`."""
    return CheckpointInfo(
        model=message.model,
        dataset=message.dataset,
        label=message.label,
        time=message.run_time,
        path=root / message.path,
        bytes=message.size_bytes,
        reference=root / message.reference_path if message.reference_path else None,
        metrics=metrics_from_proto(message.metrics),
        problem=message.problem,
        report=root / message.report_path if message.report_path else None,
        # A state from a newer server is unknown here.
        run_state={number: state for state, number in _RUN_STATES.items()}.get(
            message.run_state, ""
        ),
        epochs_done=message.epochs_done if message.HasField("epochs_done") else None,
        epochs=message.epochs if message.HasField("epochs") else None,
    )


def encoder_to_proto(info: EncoderInfo) -> models_pb2.Encoder:
    """Return the message of an encoder."""
    return models_pb2.Encoder(**{**info.to_json(), "problem": public_text(info.problem)})


def encoder_from_proto(message: models_pb2.Encoder) -> EncoderInfo:
    """Return the encoder of a message."""
    return EncoderInfo(
        name=message.name,
        source=message.source,
        architecture=message.architecture,
        width=message.width,
        layers=message.layers,
        parameters=message.parameters,
        max_length=message.max_length,
        problem=message.problem,
    )


def metrics_to_proto(
    metrics: Mapping[str, Mapping[str, float]],
) -> dict[str, models_pb2.SplitMetrics]:
    """Return the messages of metrics by split."""
    return {split: models_pb2.SplitMetrics(figures=figures) for split, figures in metrics.items()}


def metrics_from_proto(
    messages: Mapping[str, models_pb2.SplitMetrics],
) -> dict[str, dict[str, float]]:
    """Return the metrics of messages by split."""
    return {split: dict(message.figures) for split, message in messages.items()}


def _hyperparameter_to_proto(row: Mapping[str, Any]) -> models_pb2.Hyperparameter:
    return models_pb2.Hyperparameter(
        name=row["name"],
        type=row["type"],
        default_value=dict_to_struct({"default": row["default"]}).fields["default"],
        limits=dict_to_struct(row["limits"]),
        description=row["description"],
    )


def _hyperparameter_from_proto(message: models_pb2.Hyperparameter) -> dict[str, Any]:
    default = Struct()
    default.fields["default"].CopyFrom(message.default_value)
    return {
        "name": message.name,
        "type": message.type,
        **struct_to_dict(default),
        "limits": struct_to_dict(message.limits),
        "description": message.description,
    }
