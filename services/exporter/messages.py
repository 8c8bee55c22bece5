"""Conversion of the exporter's values to messages of ``ktt.exporter.v1`` and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from exporter.manifests import manifest_from_proto, manifest_to_proto
from exporter.prediction import Decoding
from exporter.requests import ExportSpec
from exporter.results import ExportResult
from ktt.exporter.v1 import exports_pb2, predict_pb2
from ktt_core.decoding import Prediction
from ktt_core.errors import InvalidArgumentError
from ktt_rpc.job_messages import JobCodec

__all__ = [
    "CODEC",
    "answer_from_proto",
    "answer_to_proto",
    "decoding_from_proto",
    "decoding_to_proto",
    "result_from_proto",
    "result_to_proto",
    "spec_from_proto",
    "spec_to_proto",
]

_FORMATS = {
    "onnx": exports_pb2.EXPORT_FORMAT_ONNX,
    "bento": exports_pb2.EXPORT_FORMAT_BENTO,
}
_QUANTIZATIONS = {
    None: exports_pb2.QUANTIZATION_UNSPECIFIED,
    "int8": exports_pb2.QUANTIZATION_INT8,
}
_DECODINGS: dict[Decoding, predict_pb2.Decoding] = {
    "path": predict_pb2.DECODING_PATH,
    "independent": predict_pb2.DECODING_INDEPENDENT,
}


def spec_to_proto(spec: ExportSpec) -> exports_pb2.ExportSpec:
    """Return the message of a spec."""
    return exports_pb2.ExportSpec(
        dataset=spec.dataset,
        model=spec.model,
        format=_FORMATS[spec.format],
        label=spec.label,
        run_time=spec.time or "",
        without_monitoring=not spec.monitoring,
        quantization=_QUANTIZATIONS[spec.quantize],
        gpu=spec.gpu,
    )


def spec_from_proto(message: exports_pb2.ExportSpec) -> ExportSpec:
    """Undo `spec_to_proto`; a label that is not set is "best".

    Raises
    ------
    InvalidArgumentError
        If the format is not set, or this version does not know it or the quantization.
    """
    return ExportSpec(
        dataset=message.dataset,
        model=message.model,
        format=_named(_FORMATS, message.format, exports_pb2.ExportFormat, "format"),
        label=message.label or "best",
        time=message.run_time or None,
        monitoring=not message.without_monitoring,
        quantize=_named(
            _QUANTIZATIONS, message.quantization, exports_pb2.Quantization, "quantization"
        ),
        gpu=message.gpu,
    )


def result_to_proto(result: ExportResult) -> exports_pb2.ExportResult:
    """Return the message of a result."""
    return exports_pb2.ExportResult(path=result.path, manifest=manifest_to_proto(result.manifest))


def result_from_proto(message: exports_pb2.ExportResult) -> ExportResult:
    """Undo `result_to_proto`."""
    return ExportResult(message.path, manifest_from_proto(message.manifest))


CODEC = JobCodec(exports_pb2, spec_to_proto, spec_from_proto, result_to_proto, result_from_proto)


def decoding_to_proto(decoding: Decoding) -> predict_pb2.Decoding:
    """Return the enum value of a decoding."""
    return _DECODINGS[decoding]


def decoding_from_proto(value: int) -> Decoding:
    """Undo `decoding_to_proto`; one that is not set is "path".

    Raises
    ------
    InvalidArgumentError
        If this version does not know it.
    """
    if value == predict_pb2.DECODING_UNSPECIFIED:
        return "path"
    return _named(_DECODINGS, value, predict_pb2.Decoding, "decoding")


def answer_to_proto(predictions: Iterable[Prediction]) -> predict_pb2.Answer:
    """Return the message of a text's paths."""
    return predict_pb2.Answer(
        paths=[
            predict_pb2.PredictedPath(classes=entry.path, probability=entry.probability)
            for entry in predictions
        ]
    )


def answer_from_proto(message: predict_pb2.Answer) -> list[Prediction]:
    """Undo `answer_to_proto`, except for the codes, which are not sent."""
    return [Prediction(tuple(path.classes), path.probability, codes=()) for path in message.paths]


def _named(known: Mapping[Any, int], value: int, enum: Any, field: str) -> Any:
    for name, number in known.items():
        if number == value:
            return name
    names = ", ".join(enum.Name(number) for number in known.values())
    shown = enum.Name(value) if value in enum.values() else value
    raise InvalidArgumentError(f"{field} {shown}: give one of {names}", field=field)
