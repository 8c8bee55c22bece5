"""What the exporter is asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from ktt_jobs.kinds import JobSpec

__all__ = ["FORMATS", "QUANTIZATIONS", "ExportSpec"]

#: What an export can make.
FORMATS = ("onnx", "bento")
#: How its graph can be made smaller.
QUANTIZATIONS = ("int8",)


@dataclass(frozen=True)
class ExportSpec(JobSpec):
    """Export one checkpoint.

    Attributes
    ----------
    dataset, model : str
        Whose checkpoint.
    format : str
        "onnx" or "bento".
    label : str
        "best" or "last".
    time : str or None
        The start of the checkpoint's run, UTC; None for the newest.
    monitoring : bool
        Whether a bundle gets monitoring beside its service, if the run left a reference set; says
        nothing to "onnx".
    quantize : str or None
        "int8" makes a second graph, smaller and measured against the first: beside it for "onnx",
        in its place for "bento".
    gpu : bool
        Whether a bundle's service is to run on CUDA.
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
        """What its job is found by."""
        return {"dataset": self.dataset, "model": self.model}
