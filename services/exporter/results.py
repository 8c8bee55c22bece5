"""What the exporter answers, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ktt_core.documents import Document
from ktt_core.quantization import QuantizationFigures

__all__ = [
    "ExportResult",
    "ExportedCheckpoint",
    "ExportedFile",
    "Manifest",
    "MonitoringResult",
    "ParityResult",
    "QuantizationResult",
]


@dataclass(frozen=True)
class ExportedCheckpoint(Document):
    """Which checkpoint was exported.

    Attributes
    ----------
    file_name : str
    label : str
        "best" or "last".
    run_time : str
        The start of its run, UTC.
    sha256 : str
        Of the file, in hexadecimal.
    dataset_fingerprint : str
        Of the dataset it learned from; empty where the checkpoint does not say.
    """

    file_name: str
    label: str
    run_time: str
    sha256: str
    dataset_fingerprint: str = ""


@dataclass(frozen=True)
class ParityResult(Document):
    """How an exported model compared with its checkpoint, on rows of the dataset.

    Attributes
    ----------
    rows : int
        The rows compared.
    split : str
        The split they are of.
    top_path_agreement : float
        The share of rows, in [0, 1], on which both have the same most probable path.
    max_probability_difference : float
        The largest difference of a leaf's probability.
    required_agreement, tolerated_difference : float
        What an export is published with, at least and at most.
    max_feature_difference : float or None
        The largest difference of a feature of a monitoring row, as a part of the mean absolute
        value of its column; None where no features were compared.
    tolerated_feature_difference : float or None
        What an export is published with, at most.
    """

    rows: int
    split: str
    top_path_agreement: float
    max_probability_difference: float
    required_agreement: float
    tolerated_difference: float
    max_feature_difference: float | None = None
    tolerated_feature_difference: float | None = None


@dataclass(frozen=True)
class QuantizationResult(Document):
    """What a quantized graph gains and costs, on rows of the dataset.

    Attributes
    ----------
    split : str
        The split the rows are of.
    figures : QuantizationFigures
    """

    split: str
    figures: QuantizationFigures


@dataclass(frozen=True)
class MonitoringResult(Document):
    """What a bundle's monitor compares.

    Attributes
    ----------
    reference_rows : int
        Rows of the reference set.
    window_size : int
        The newest rows that are compared with it.
    """

    reference_rows: int
    window_size: int


@dataclass(frozen=True)
class ExportedFile(Document):
    """A file of an exported folder.

    Attributes
    ----------
    path : str
        Relative to the folder, with forward slashes.
    size_bytes : int
    sha256 : str
        In hexadecimal.
    """

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest(Document):
    """What an exported folder holds and where that came from.

    Attributes
    ----------
    format : str
        "onnx" or "bento".
    model, dataset : str
    checkpoint : ExportedCheckpoint
    versions : mapping of str to str
        Of the packages that wrote it.
    opset : int
        The graph's ONNX operator set; 0 where there is no graph.
    parity : ParityResult
    temperature : float
        Path log-probabilities are divided by it before they are normalised.
    files : tuple of ExportedFile
        All of the folder but the manifest, by path.
    create_time : datetime
        In UTC.
    format_version : int
    ir_version : int
        Of the ONNX file format; 0 where there is no graph.
    quantization : QuantizationResult or None
        The quantized graph beside the other, or in its place, if there is one.
    monitoring : MonitoringResult or None
        What a bundle's monitor compares, if it has one.
    """

    format: str
    model: str
    dataset: str
    checkpoint: ExportedCheckpoint
    versions: Mapping[str, str]
    opset: int
    parity: ParityResult
    temperature: float
    files: tuple[ExportedFile, ...]
    create_time: datetime
    format_version: int = 1
    ir_version: int = 0
    quantization: QuantizationResult | None = None
    monitoring: MonitoringResult | None = None


@dataclass(frozen=True)
class ExportResult(Document):
    """What an export made.

    Attributes
    ----------
    path : str
        The folder, relative to the workspace, with forward slashes.
    manifest : Manifest
    """

    path: str
    manifest: Manifest
