from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Decoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECODING_UNSPECIFIED: _ClassVar[Decoding]
    DECODING_PATH: _ClassVar[Decoding]
    DECODING_INDEPENDENT: _ClassVar[Decoding]
DECODING_UNSPECIFIED: Decoding
DECODING_PATH: Decoding
DECODING_INDEPENDENT: Decoding

class PredictRequest(_message.Message):
    __slots__ = ("dataset", "model", "texts", "top_k", "min_confidence", "decoding", "label", "run_time")
    DATASET_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    MIN_CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    DECODING_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    RUN_TIME_FIELD_NUMBER: _ClassVar[int]
    dataset: str
    model: str
    texts: _containers.RepeatedScalarFieldContainer[str]
    top_k: int
    min_confidence: float
    decoding: Decoding
    label: str
    run_time: str
    def __init__(self, dataset: _Optional[str] = ..., model: _Optional[str] = ..., texts: _Optional[_Iterable[str]] = ..., top_k: _Optional[int] = ..., min_confidence: _Optional[float] = ..., decoding: _Optional[_Union[Decoding, str]] = ..., label: _Optional[str] = ..., run_time: _Optional[str] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    def __init__(self, answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("paths",)
    PATHS_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedCompositeFieldContainer[PredictedPath]
    def __init__(self, paths: _Optional[_Iterable[_Union[PredictedPath, _Mapping]]] = ...) -> None: ...

class PredictedPath(_message.Message):
    __slots__ = ("classes", "probability")
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedScalarFieldContainer[str]
    probability: float
    def __init__(self, classes: _Optional[_Iterable[str]] = ..., probability: _Optional[float] = ...) -> None: ...
