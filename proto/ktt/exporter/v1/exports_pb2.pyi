from ktt.artifacts.v1 import export_manifest_pb2 as _export_manifest_pb2
from ktt.jobs.v1 import jobs_pb2 as _jobs_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPORT_FORMAT_UNSPECIFIED: _ClassVar[ExportFormat]
    EXPORT_FORMAT_ONNX: _ClassVar[ExportFormat]
    EXPORT_FORMAT_BENTO: _ClassVar[ExportFormat]

class Quantization(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUANTIZATION_UNSPECIFIED: _ClassVar[Quantization]
    QUANTIZATION_INT8: _ClassVar[Quantization]
EXPORT_FORMAT_UNSPECIFIED: ExportFormat
EXPORT_FORMAT_ONNX: ExportFormat
EXPORT_FORMAT_BENTO: ExportFormat
QUANTIZATION_UNSPECIFIED: Quantization
QUANTIZATION_INT8: Quantization

class ExportJob(_message.Message):
    __slots__ = ("id", "spec", "status", "result")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    id: str
    spec: ExportSpec
    status: _jobs_pb2.JobStatus
    result: ExportResult
    def __init__(self, id: _Optional[str] = ..., spec: _Optional[_Union[ExportSpec, _Mapping]] = ..., status: _Optional[_Union[_jobs_pb2.JobStatus, _Mapping]] = ..., result: _Optional[_Union[ExportResult, _Mapping]] = ...) -> None: ...

class ExportSpec(_message.Message):
    __slots__ = ("dataset", "model", "format", "label", "run_time", "without_monitoring", "quantization", "gpu")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_MONITORING_FIELD_NUMBER: _ClassVar[int]
    QUANTIZATION_FIELD_NUMBER: _ClassVar[int]
    GPU_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    model: str
    format: ExportFormat
    label: str
    run_time: str
    without_monitoring: bool
    quantization: Quantization
    gpu: bool
    def __init__(self, dataset: _Optional[str] = ..., model: _Optional[str] = ..., format: _Optional[_Union[ExportFormat, str]] = ..., label: _Optional[str] = ..., run_time: _Optional[str] = ..., without_monitoring: _Optional[bool] = ..., quantization: _Optional[_Union[Quantization, str]] = ..., gpu: _Optional[bool] = ...) -> None: ...

class ExportResult(_message.Message):
    __slots__ = ("path", "manifest")
    PATH_FIELD_NUMBER: _ClassVar[int]
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    path: str
    manifest: _export_manifest_pb2.ExportManifest
    def __init__(self, path: _Optional[str] = ..., manifest: _Optional[_Union[_export_manifest_pb2.ExportManifest, _Mapping]] = ...) -> None: ...

class CreateExportJobRequest(_message.Message):
    __slots__ = ("spec", "request_id", "validate_only")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    spec: ExportSpec
    request_id: str
    validate_only: bool
    def __init__(self, spec: _Optional[_Union[ExportSpec, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class CreateExportJobResponse(_message.Message):
    __slots__ = ("export_job",)
    EXPORT_JOB_FIELD_NUMBER: _ClassVar[int]
    export_job: ExportJob
    def __init__(self, export_job: _Optional[_Union[ExportJob, _Mapping]] = ...) -> None: ...

class GetExportJobRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetExportJobResponse(_message.Message):
    __slots__ = ("export_job",)
    EXPORT_JOB_FIELD_NUMBER: _ClassVar[int]
    export_job: ExportJob
    def __init__(self, export_job: _Optional[_Union[ExportJob, _Mapping]] = ...) -> None: ...

class ListExportJobsRequest(_message.Message):
    __slots__ = ("dataset", "model", "states", "page_size", "page_token")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    model: str
    states: _containers.RepeatedScalarFieldContainer[_jobs_pb2.JobState]
    page_size: int
    page_token: str
    def __init__(self, dataset: _Optional[str] = ..., model: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_jobs_pb2.JobState, str]]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListExportJobsResponse(_message.Message):
    __slots__ = ("export_jobs", "next_page_token")
    EXPORT_JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    export_jobs: _containers.RepeatedCompositeFieldContainer[ExportJob]
    next_page_token: str
    def __init__(self, export_jobs: _Optional[_Iterable[_Union[ExportJob, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchExportJobRequest(_message.Message):
    __slots__ = ("id", "after_event")
    ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_EVENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    after_event: int
    def __init__(self, id: _Optional[str] = ..., after_event: _Optional[int] = ...) -> None: ...

class WatchExportJobResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _jobs_pb2.JobEvent
    def __init__(self, event: _Optional[_Union[_jobs_pb2.JobEvent, _Mapping]] = ...) -> None: ...

class CancelExportJobRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CancelExportJobResponse(_message.Message):
    __slots__ = ("export_job",)
    EXPORT_JOB_FIELD_NUMBER: _ClassVar[int]
    export_job: ExportJob
    def __init__(self, export_job: _Optional[_Union[ExportJob, _Mapping]] = ...) -> None: ...

class DownloadArtifactRequest(_message.Message):
    __slots__ = ("export_job_id", "offset")
    EXPORT_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    export_job_id: str
    offset: int
    def __init__(self, export_job_id: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadArtifactResponse(_message.Message):
    __slots__ = ("start", "chunk")
    START_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    start: ArtifactStart
    chunk: bytes
    def __init__(self, start: _Optional[_Union[ArtifactStart, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class ArtifactStart(_message.Message):
    __slots__ = ("file_name", "size_bytes", "sha256")
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    size_bytes: int
    sha256: str
    def __init__(self, file_name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...
