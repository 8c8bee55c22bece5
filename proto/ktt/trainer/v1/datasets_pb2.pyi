import datetime

from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from ktt.jobs.v1 import jobs_pb2 as _jobs_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Dataset(_message.Message):
    __slots__ = ("name", "rows", "depth", "level_sizes", "class_count", "leaf_count", "fingerprint", "options", "problem")
    class RowsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    LEVEL_SIZES_FIELD_NUMBER: _ClassVar[int]
    CLASS_COUNT_FIELD_NUMBER: _ClassVar[int]
    LEAF_COUNT_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    name: str
    rows: _containers.ScalarMap[str, int]
    depth: int
    level_sizes: _containers.RepeatedScalarFieldContainer[int]
    class_count: int
    leaf_count: int
    fingerprint: str
    options: _struct_pb2.Struct
    problem: str
    def __init__(self, name: _Optional[str] = ..., rows: _Optional[_Mapping[str, int]] = ..., depth: _Optional[int] = ..., level_sizes: _Optional[_Iterable[int]] = ..., class_count: _Optional[int] = ..., leaf_count: _Optional[int] = ..., fingerprint: _Optional[str] = ..., options: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., problem: _Optional[str] = ...) -> None: ...

class Upload(_message.Message):
    __slots__ = ("id", "file_name", "size_bytes", "sha256", "committed_bytes", "complete", "expire_time")
    ID_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    file_name: str
    size_bytes: int
    sha256: str
    committed_bytes: int
    complete: bool
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., file_name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ..., committed_bytes: _Optional[int] = ..., complete: _Optional[bool] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ImportOptions(_message.Message):
    __slots__ = ("text", "classes", "sep", "level_columns", "depth", "split_column", "train_ratio", "val_ratio", "seed", "min_rows_per_leaf", "dedupe", "skip_bad_rows")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    SEP_FIELD_NUMBER: _ClassVar[int]
    LEVEL_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    SPLIT_COLUMN_FIELD_NUMBER: _ClassVar[int]
    TRAIN_RATIO_FIELD_NUMBER: _ClassVar[int]
    VAL_RATIO_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MIN_ROWS_PER_LEAF_FIELD_NUMBER: _ClassVar[int]
    DEDUPE_FIELD_NUMBER: _ClassVar[int]
    SKIP_BAD_ROWS_FIELD_NUMBER: _ClassVar[int]
    text: str
    classes: str
    sep: str
    level_columns: _containers.RepeatedScalarFieldContainer[str]
    depth: int
    split_column: str
    train_ratio: float
    val_ratio: float
    seed: int
    min_rows_per_leaf: int
    dedupe: bool
    skip_bad_rows: bool
    def __init__(self, text: _Optional[str] = ..., classes: _Optional[str] = ..., sep: _Optional[str] = ..., level_columns: _Optional[_Iterable[str]] = ..., depth: _Optional[int] = ..., split_column: _Optional[str] = ..., train_ratio: _Optional[float] = ..., val_ratio: _Optional[float] = ..., seed: _Optional[int] = ..., min_rows_per_leaf: _Optional[int] = ..., dedupe: _Optional[bool] = ..., skip_bad_rows: _Optional[bool] = ...) -> None: ...

class ImportReport(_message.Message):
    __slots__ = ("rows_read", "rows_written", "bad_rows", "duplicates", "conflicting", "rare_rows", "rare_leaves", "classes_per_level", "leaves", "rows_per_leaf", "warnings", "seconds")
    class RowsWrittenEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class BadRowsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: BadRows
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[BadRows, _Mapping]] = ...) -> None: ...
    class RowsPerLeafEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ROWS_READ_FIELD_NUMBER: _ClassVar[int]
    ROWS_WRITTEN_FIELD_NUMBER: _ClassVar[int]
    BAD_ROWS_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    CONFLICTING_FIELD_NUMBER: _ClassVar[int]
    RARE_ROWS_FIELD_NUMBER: _ClassVar[int]
    RARE_LEAVES_FIELD_NUMBER: _ClassVar[int]
    CLASSES_PER_LEVEL_FIELD_NUMBER: _ClassVar[int]
    LEAVES_FIELD_NUMBER: _ClassVar[int]
    ROWS_PER_LEAF_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    rows_read: int
    rows_written: _containers.ScalarMap[str, int]
    bad_rows: _containers.MessageMap[str, BadRows]
    duplicates: int
    conflicting: int
    rare_rows: int
    rare_leaves: int
    classes_per_level: _containers.RepeatedScalarFieldContainer[int]
    leaves: int
    rows_per_leaf: _containers.ScalarMap[str, float]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    seconds: float
    def __init__(self, rows_read: _Optional[int] = ..., rows_written: _Optional[_Mapping[str, int]] = ..., bad_rows: _Optional[_Mapping[str, BadRows]] = ..., duplicates: _Optional[int] = ..., conflicting: _Optional[int] = ..., rare_rows: _Optional[int] = ..., rare_leaves: _Optional[int] = ..., classes_per_level: _Optional[_Iterable[int]] = ..., leaves: _Optional[int] = ..., rows_per_leaf: _Optional[_Mapping[str, float]] = ..., warnings: _Optional[_Iterable[str]] = ..., seconds: _Optional[float] = ...) -> None: ...

class BadRows(_message.Message):
    __slots__ = ("count", "first_rows", "first_lines")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_ROWS_FIELD_NUMBER: _ClassVar[int]
    FIRST_LINES_FIELD_NUMBER: _ClassVar[int]
    count: int
    first_rows: _containers.RepeatedScalarFieldContainer[int]
    first_lines: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, count: _Optional[int] = ..., first_rows: _Optional[_Iterable[int]] = ..., first_lines: _Optional[_Iterable[int]] = ...) -> None: ...

class CreateUploadRequest(_message.Message):
    __slots__ = ("file_name", "size_bytes", "sha256")
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    file_name: str
    size_bytes: int
    sha256: str
    def __init__(self, file_name: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[str] = ...) -> None: ...

class CreateUploadResponse(_message.Message):
    __slots__ = ("upload",)
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    upload: Upload
    def __init__(self, upload: _Optional[_Union[Upload, _Mapping]] = ...) -> None: ...

class GetUploadRequest(_message.Message):
    __slots__ = ("upload_id",)
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    def __init__(self, upload_id: _Optional[str] = ...) -> None: ...

class GetUploadResponse(_message.Message):
    __slots__ = ("upload",)
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    upload: Upload
    def __init__(self, upload: _Optional[_Union[Upload, _Mapping]] = ...) -> None: ...

class WriteUploadRequest(_message.Message):
    __slots__ = ("start", "chunk")
    START_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    start: UploadStart
    chunk: bytes
    def __init__(self, start: _Optional[_Union[UploadStart, _Mapping]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class UploadStart(_message.Message):
    __slots__ = ("upload_id", "offset")
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    offset: int
    def __init__(self, upload_id: _Optional[str] = ..., offset: _Optional[int] = ...) -> None: ...

class WriteUploadResponse(_message.Message):
    __slots__ = ("upload",)
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    upload: Upload
    def __init__(self, upload: _Optional[_Union[Upload, _Mapping]] = ...) -> None: ...

class DeleteUploadRequest(_message.Message):
    __slots__ = ("upload_id",)
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    upload_id: str
    def __init__(self, upload_id: _Optional[str] = ...) -> None: ...

class DeleteUploadResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CreateDatasetRequest(_message.Message):
    __slots__ = ("name", "server_path", "upload_id", "options", "replace")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVER_PATH_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    REPLACE_FIELD_NUMBER: _ClassVar[int]
    name: str
    server_path: str
    upload_id: str
    options: ImportOptions
    replace: bool
    def __init__(self, name: _Optional[str] = ..., server_path: _Optional[str] = ..., upload_id: _Optional[str] = ..., options: _Optional[_Union[ImportOptions, _Mapping]] = ..., replace: _Optional[bool] = ...) -> None: ...

class CreateDatasetResponse(_message.Message):
    __slots__ = ("progress", "created")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    progress: _jobs_pb2.Progress
    created: CreatedDataset
    def __init__(self, progress: _Optional[_Union[_jobs_pb2.Progress, _Mapping]] = ..., created: _Optional[_Union[CreatedDataset, _Mapping]] = ...) -> None: ...

class CreatedDataset(_message.Message):
    __slots__ = ("dataset", "report")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    report: ImportReport
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ..., report: _Optional[_Union[ImportReport, _Mapping]] = ...) -> None: ...

class GetDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetDatasetResponse(_message.Message):
    __slots__ = ("dataset",)
    DATASET_FIELD_NUMBER: _ClassVar[int]
    dataset: Dataset
    def __init__(self, dataset: _Optional[_Union[Dataset, _Mapping]] = ...) -> None: ...

class ListDatasetsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetsResponse(_message.Message):
    __slots__ = ("datasets", "next_page_token")
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    next_page_token: str
    def __init__(self, datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteDatasetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
