"""What the exporter answers, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ktt_core.quantization import GraphFigures, QuantizationFigures

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
class ExportedCheckpoint:
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
class ParityResult:
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
class QuantizationResult:
    """What a quantized graph gains and costs, on rows of the dataset.

    Attributes
    ----------
    split : str
        The split the rows are of.
    figures : QuantizationFigures
    """

    split: str
    figures: QuantizationFigures

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> QuantizationResult:
        """Undo `dataclasses.asdict`."""
        figures = value["figures"]
        graphs = {name: GraphFigures(**figures[name]) for name in ("original", "quantized")}
        return cls(value["split"], QuantizationFigures(**{**figures, **graphs}))


@dataclass(frozen=True)
class MonitoringResult:
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
class ExportedFile:
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
class Manifest:
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

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {
            **asdict(self),
            "versions": dict(self.versions),
            "files": [asdict(file) for file in self.files],
            "create_time": self.create_time.astimezone(UTC).isoformat(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Manifest:
        """Undo `to_json`."""
        quantization, monitoring = value.get("quantization"), value.get("monitoring")
        return cls(
            **{
                **value,
                "quantization": quantization and QuantizationResult.from_json(quantization),
                "monitoring": monitoring and MonitoringResult(**monitoring),
                "checkpoint": ExportedCheckpoint(**value["checkpoint"]),
                "parity": ParityResult(**value["parity"]),
                "files": tuple(ExportedFile(**file) for file in value["files"]),
                "create_time": datetime.fromisoformat(value["create_time"]),
            }
        )


@dataclass(frozen=True)
class ExportResult:
    """What an export made.

    Attributes
    ----------
    path : str
        The folder, relative to the workspace, with forward slashes.
    manifest : Manifest
    """

    path: str
    manifest: Manifest

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value; `from_json` undoes it."""
        return {"path": self.path, "manifest": self.manifest.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ExportResult:
        """Undo `to_json`."""
        return cls(value["path"], Manifest.from_json(value["manifest"]))
