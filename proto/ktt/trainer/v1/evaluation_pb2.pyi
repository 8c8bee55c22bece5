from ktt.jobs.v1 import jobs_pb2 as _jobs_pb2
from ktt.trainer.v1 import datasets_pb2 as _datasets_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EvaluationJob(_message.Message):
    __slots__ = ("id", "spec", "status", "result")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    id: str
    spec: EvaluationSpec
    status: _jobs_pb2.JobStatus
    result: EvaluationResult
    def __init__(self, id: _Optional[str] = ..., spec: _Optional[_Union[EvaluationSpec, _Mapping]] = ..., status: _Optional[_Union[_jobs_pb2.JobStatus, _Mapping]] = ..., result: _Optional[_Union[EvaluationResult, _Mapping]] = ...) -> None: ...

class EvaluationSpec(_message.Message):
    __slots__ = ("dataset", "model", "split", "label", "run_time", "on_dataset", "upload_id", "server_path", "file_options", "baseline", "unseen", "list_errors")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    ON_DATASET_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    SERVER_PATH_FIELD_NUMBER: _ClassVar[int]
    FILE_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    UNSEEN_FIELD_NUMBER: _ClassVar[int]
    LIST_ERRORS_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    model: str
    split: str
    label: str
    run_time: str
    on_dataset: str
    upload_id: str
    server_path: str
    file_options: _datasets_pb2.ImportOptions
    baseline: EvaluationBaseline
    unseen: bool
    list_errors: bool
    def __init__(self, dataset: _Optional[str] = ..., model: _Optional[str] = ..., split: _Optional[str] = ..., label: _Optional[str] = ..., run_time: _Optional[str] = ..., on_dataset: _Optional[str] = ..., upload_id: _Optional[str] = ..., server_path: _Optional[str] = ..., file_options: _Optional[_Union[_datasets_pb2.ImportOptions, _Mapping]] = ..., baseline: _Optional[_Union[EvaluationBaseline, _Mapping]] = ..., unseen: _Optional[bool] = ..., list_errors: _Optional[bool] = ...) -> None: ...

class EvaluationBaseline(_message.Message):
    __slots__ = ("dataset", "model", "run_time")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    model: str
    run_time: str
    def __init__(self, dataset: _Optional[str] = ..., model: _Optional[str] = ..., run_time: _Optional[str] = ...) -> None: ...

class EvaluationResult(_message.Message):
    __slots__ = ("checkpoint_path", "rows", "figures", "warnings", "seconds", "on", "all_rows", "unknown", "seen_rows", "comparison", "error_rows")
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    CHECKPOINT_PATH_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    ON_FIELD_NUMBER: _ClassVar[int]
    ALL_ROWS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    SEEN_ROWS_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    ERROR_ROWS_FIELD_NUMBER: _ClassVar[int]
    checkpoint_path: str
    rows: int
    figures: _containers.ScalarMap[str, float]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    seconds: float
    on: str
    all_rows: RowFigures
    unknown: UnknownClasses
    seen_rows: int
    comparison: EvaluationComparison
    error_rows: int
    def __init__(self, checkpoint_path: _Optional[str] = ..., rows: _Optional[int] = ..., figures: _Optional[_Mapping[str, float]] = ..., warnings: _Optional[_Iterable[str]] = ..., seconds: _Optional[float] = ..., on: _Optional[str] = ..., all_rows: _Optional[_Union[RowFigures, _Mapping]] = ..., unknown: _Optional[_Union[UnknownClasses, _Mapping]] = ..., seen_rows: _Optional[int] = ..., comparison: _Optional[_Union[EvaluationComparison, _Mapping]] = ..., error_rows: _Optional[int] = ...) -> None: ...

class RowFigures(_message.Message):
    __slots__ = ("rows", "figures")
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ROWS_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    rows: int
    figures: _containers.ScalarMap[str, float]
    def __init__(self, rows: _Optional[int] = ..., figures: _Optional[_Mapping[str, float]] = ...) -> None: ...

class UnknownClasses(_message.Message):
    __slots__ = ("rows", "classes", "partly_known_rows", "largest")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    PARTLY_KNOWN_ROWS_FIELD_NUMBER: _ClassVar[int]
    LARGEST_FIELD_NUMBER: _ClassVar[int]
    rows: int
    classes: int
    partly_known_rows: int
    largest: _containers.RepeatedCompositeFieldContainer[UnknownClass]
    def __init__(self, rows: _Optional[int] = ..., classes: _Optional[int] = ..., partly_known_rows: _Optional[int] = ..., largest: _Optional[_Iterable[_Union[UnknownClass, _Mapping]]] = ...) -> None: ...

class UnknownClass(_message.Message):
    __slots__ = ("path", "rows")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    path: _containers.RepeatedScalarFieldContainer[str]
    rows: int
    def __init__(self, path: _Optional[_Iterable[str]] = ..., rows: _Optional[int] = ...) -> None: ...

class EvaluationComparison(_message.Message):
    __slots__ = ("dataset", "model", "checkpoint_path", "figures", "differences", "all_rows", "all_differences", "unknown")
    class FiguresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class DifferencesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: FigureDifference
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FigureDifference, _Mapping]] = ...) -> None: ...
    class AllDifferencesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: FigureDifference
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[FigureDifference, _Mapping]] = ...) -> None: ...
    DATASET_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_PATH_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    ALL_ROWS_FIELD_NUMBER: _ClassVar[int]
    ALL_DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    model: str
    checkpoint_path: str
    figures: _containers.ScalarMap[str, float]
    differences: _containers.MessageMap[str, FigureDifference]
    all_rows: RowFigures
    all_differences: _containers.MessageMap[str, FigureDifference]
    unknown: UnknownClasses
    def __init__(self, dataset: _Optional[str] = ..., model: _Optional[str] = ..., checkpoint_path: _Optional[str] = ..., figures: _Optional[_Mapping[str, float]] = ..., differences: _Optional[_Mapping[str, FigureDifference]] = ..., all_rows: _Optional[_Union[RowFigures, _Mapping]] = ..., all_differences: _Optional[_Mapping[str, FigureDifference]] = ..., unknown: _Optional[_Union[UnknownClasses, _Mapping]] = ...) -> None: ...

class FigureDifference(_message.Message):
    __slots__ = ("value", "low", "high")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    value: float
    low: float
    high: float
    def __init__(self, value: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class CreateEvaluationJobRequest(_message.Message):
    __slots__ = ("spec", "request_id", "validate_only")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    spec: EvaluationSpec
    request_id: str
    validate_only: bool
    def __init__(self, spec: _Optional[_Union[EvaluationSpec, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class CreateEvaluationJobResponse(_message.Message):
    __slots__ = ("evaluation_job",)
    EVALUATION_JOB_FIELD_NUMBER: _ClassVar[int]
    evaluation_job: EvaluationJob
    def __init__(self, evaluation_job: _Optional[_Union[EvaluationJob, _Mapping]] = ...) -> None: ...

class GetEvaluationJobRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetEvaluationJobResponse(_message.Message):
    __slots__ = ("evaluation_job",)
    EVALUATION_JOB_FIELD_NUMBER: _ClassVar[int]
    evaluation_job: EvaluationJob
    def __init__(self, evaluation_job: _Optional[_Union[EvaluationJob, _Mapping]] = ...) -> None: ...

class ListEvaluationJobsRequest(_message.Message):
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

class ListEvaluationJobsResponse(_message.Message):
    __slots__ = ("evaluation_jobs", "next_page_token")
    EVALUATION_JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    evaluation_jobs: _containers.RepeatedCompositeFieldContainer[EvaluationJob]
    next_page_token: str
    def __init__(self, evaluation_jobs: _Optional[_Iterable[_Union[EvaluationJob, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchEvaluationJobRequest(_message.Message):
    __slots__ = ("id", "after_event")
    ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_EVENT_FIELD_NUMBER: _ClassVar[int]
    id: str
    after_event: int
    def __init__(self, id: _Optional[str] = ..., after_event: _Optional[int] = ...) -> None: ...

class WatchEvaluationJobResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: _jobs_pb2.JobEvent
    def __init__(self, event: _Optional[_Union[_jobs_pb2.JobEvent, _Mapping]] = ...) -> None: ...

class CancelEvaluationJobRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CancelEvaluationJobResponse(_message.Message):
    __slots__ = ("evaluation_job",)
    EVALUATION_JOB_FIELD_NUMBER: _ClassVar[int]
    evaluation_job: EvaluationJob
    def __init__(self, evaluation_job: _Optional[_Union[EvaluationJob, _Mapping]] = ...) -> None: ...

class DownloadEvaluationErrorsRequest(_message.Message):
    __slots__ = ("evaluation_job_id", "offset")
    EVALUATION_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    evaluation_job_id: str
    offset: int
    def __init__(self, evaluation_job_id: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class DownloadEvaluationErrorsResponse(_message.Message):
    __slots__ = ("start", "chunk")
    START_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    start: EvaluationErrorsStart
    chunk: bytes
    def __init__(self, start: _Optional[_Union[EvaluationErrorsStart, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class EvaluationErrorsStart(_message.Message):
    __slots__ = ("size_bytes", "sha256")
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    size_bytes: int
    sha256: str
    def __init__(self, size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...
