"""Results of the exporter, as plain values."""

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
    """The exported checkpoint.

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
        Of its training dataset; empty if the checkpoint does not record it.
    """

    file_name: str
    label: str
    run_time: str
    sha256: str
    dataset_fingerprint: str = ""


@dataclass(frozen=True)
class ParityResult(Document):
    """Comparison of an exported model with its checkpoint on rows of the dataset.

    Attributes
    ----------
    rows : int
        Number of compared rows.
    split : str
        Their split.
    top_path_agreement : float
        The share of rows, in [0, 1], on which both have the same most probable path.
    max_probability_difference : float
        The largest difference of a leaf's probability.
    required_agreement, tolerated_difference : float
        Thresholds for publishing.
    max_feature_difference : float or None
        The largest difference of a feature of a monitoring row, relative to the mean absolute value
        of its column; None if no features were compared.
    tolerated_feature_difference : float or None
        Threshold for publishing.
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
    """Comparison of a quantized graph with the original on rows of the dataset.

    Attributes
    ----------
    split : str
        The rows' split.
    figures : QuantizationFigures
    """

    split: str
    figures: QuantizationFigures


@dataclass(frozen=True)
class MonitoringResult(Document):
    """Sizes that a bundle's monitor compares.

    Attributes
    ----------
    reference_rows : int
        Rows of the reference set.
    window_size : int
        Number of newest rows that are compared with it.
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
    """Content and origin of an exported folder.

    Attributes
    ----------
    format : str
        "onnx" or "bento".
    model, dataset : str
    checkpoint : ExportedCheckpoint
    versions : mapping of str to str
        Of the packages that wrote it.
    opset : int
        The graph's ONNX operator set; 0 without a graph.
    parity : ParityResult
    temperature : float
        Path log-probabilities are divided by it before they are normalised.
    files : tuple of ExportedFile
        All files of the folder except the manifest, by path.
    create_time : datetime
        In UTC.
    format_version : int
    ir_version : int
        Of the ONNX file format; 0 without a graph.
    quantization : QuantizationResult or None
        Of the quantized graph, if there is one.
    monitoring : MonitoringResult or None
        Of the bundle's monitor, if it has one.
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
    """Result of an export.

    Attributes
    ----------
    path : str
        The folder, relative to the workspace, with forward slashes.
    manifest : Manifest
    """

    path: str
    manifest: Manifest
