"""Requests to the exporter."""

from __future__ import annotations

from dataclasses import dataclass

from ktt_jobs.kinds import JobSpec

__all__ = ["FORMATS", "QUANTIZATIONS", "ExportSpec"]

#: Formats of exports.
FORMATS = ("onnx", "bento")
#: Forms of quantized graphs.
QUANTIZATIONS = ("int8",)


@dataclass(frozen=True)
class ExportSpec(JobSpec):
    """Export one checkpoint.

    Attributes
    ----------
    dataset, model : str
        Model and the dataset it was trained on.
    format : str
        "onnx" or "bento".
    label : str
        "best" or "last".
    time : str or None
        The start of the checkpoint's run, UTC; None for the newest.
    monitoring : bool
        Whether a bundle includes monitoring, if the run left a reference set; not used for "onnx".
    quantize : str or None
        "int8" adds a smaller graph, measured against the original: beside it for "onnx", instead of
        it for "bento".
    gpu : bool
        Whether a bundle's service runs on CUDA.
    """

    dataset: str
    model: str
    format: str = "onnx"
    label: str = "best"
    time: str | None = None
    monitoring: bool = True
    quantize: str | None = None
    gpu: bool = False

    @property
    def labels(self) -> dict[str, str]:
        """Labels of its job, for filters."""
        return {"dataset": self.dataset, "model": self.model}
