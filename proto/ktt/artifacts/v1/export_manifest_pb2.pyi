import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportManifest(_message.Message):
    __slots__ = ("format_version", "format", "model", "dataset", "checkpoint", "versions", "opset", "parity", "temperature", "files", "create_time", "ir_version", "quantization", "monitoring")
    class VersionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FORMAT_VERSION_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    OPSET_FIELD_NUMBER: _ClassVar[int]
    PARITY_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    IR_VERSION_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    MONITORING_FIELD_NUMBER: _ClassVar[int]
    format_version: int
    format: str
    model: str
    dataset: str
    checkpoint: ExportedCheckpoint
    versions: _containers.ScalarMap[str, str]
    opset: int
    parity: ParityResult
    temperature: float
    files: _containers.RepeatedCompositeFieldContainer[ExportedFile]
    create_time: _timestamp_pb2.Timestamp
    ir_version: int
    quantization: QuantizationResult
    monitoring: MonitoringResult
    def __init__(self, format_version: _Optional[int] = ..., format: _Optional[str] = ..., model: _Optional[str] = ..., dataset: _Optional[str] = ..., checkpoint: _Optional[_Union[ExportedCheckpoint, _Mapping]] = ..., versions: _Optional[_Mapping[str, str]] = ..., opset: _Optional[int] = ..., parity: _Optional[_Union[ParityResult, _Mapping]] = ..., temperature: _Optional[float] = ..., files: _Optional[_Iterable[_Union[ExportedFile, _Mapping]]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ir_version: _Optional[int] = ..., quantization: _Optional[_Union[QuantizationResult, _Mapping]] = ..., monitoring: _Optional[_Union[MonitoringResult, _Mapping]] = ...) -> None: ...

class MonitoringResult(_message.Message):
    __slots__ = ("reference_rows", "window_size")
    REFERENCE_ROWS_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SIZE_FIELD_NUMBER: _ClassVar[int]
    reference_rows: int
    window_size: int
    def __init__(self, reference_rows: _Optional[int] = ..., window_size: _Optional[int] = ...) -> None: ...

class ExportedCheckpoint(_message.Message):
    __slots__ = ("file_name", "label", "run_time", "sha256", "dataset_fingerprint")
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    DATASET_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    label: str
    run_time: str
    sha256: str
    dataset_fingerprint: str
    def __init__(self, file_name: _Optional[str] = ..., label: _Optional[str] = ..., run_time: _Optional[str] = ..., sha256: _Optional[str] = ..., dataset_fingerprint: _Optional[str] = ...) -> None: ...

class ParityResult(_message.Message):
    __slots__ = ("rows", "split", "top_path_agreement", "max_probability_difference", "required_agreement", "tolerated_difference", "max_feature_difference", "tolerated_feature_difference")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    TOP_PATH_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    MAX_PROBABILITY_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    TOLERATED_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    MAX_FEATURE_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    TOLERATED_FEATURE_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    rows: int
    split: str
    top_path_agreement: float
    max_probability_difference: float
    required_agreement: float
    tolerated_difference: float
    max_feature_difference: float
    tolerated_feature_difference: float
    def __init__(self, rows: _Optional[int] = ..., split: _Optional[str] = ..., top_path_agreement: _Optional[float] = ..., max_probability_difference: _Optional[float] = ..., required_agreement: _Optional[float] = ..., tolerated_difference: _Optional[float] = ..., max_feature_difference: _Optional[float] = ..., tolerated_feature_difference: _Optional[float] = ...) -> None: ...

class QuantizationResult(_message.Message):
    __slots__ = ("scheme", "path", "rows", "split", "top_path_agreement", "batch_texts", "threads", "original", "quantized")
    SCHEME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    TOP_PATH_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    BATCH_TEXTS_FIELD_NUMBER: _ClassVar[int]
    THREADS_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_FIELD_NUMBER: _ClassVar[int]
    QUANTIZED_FIELD_NUMBER: _ClassVar[int]
    scheme: str
    path: str
    rows: int
    split: str
    top_path_agreement: float
    batch_texts: int
    threads: int
    original: GraphFigures
    quantized: GraphFigures
    def __init__(self, scheme: _Optional[str] = ..., path: _Optional[str] = ..., rows: _Optional[int] = ..., split: _Optional[str] = ..., top_path_agreement: _Optional[float] = ..., batch_texts: _Optional[int] = ..., threads: _Optional[int] = ..., original: _Optional[_Union[GraphFigures, _Mapping]] = ..., quantized: _Optional[_Union[GraphFigures, _Mapping]] = ...) -> None: ...

class GraphFigures(_message.Message):
    __slots__ = ("size_bytes", "hierarchical_f1", "ms_alone", "ms_batched")
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    HIERARCHICAL_F1_FIELD_NUMBER: _ClassVar[int]
    MS_ALONE_FIELD_NUMBER: _ClassVar[int]
    MS_BATCHED_FIELD_NUMBER: _ClassVar[int]
    size_bytes: int
    hierarchical_f1: float
    ms_alone: float
    ms_batched: float
    def __init__(self, size_bytes: _Optional[int] = ..., hierarchical_f1: _Optional[float] = ..., ms_alone: _Optional[float] = ..., ms_batched: _Optional[float] = ...) -> None: ...

class ExportedFile(_message.Message):
    __slots__ = ("path", "size_bytes", "sha256")
    PATH_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    path: str
    size_bytes: int
    sha256: str
    def __init__(self, path: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...
