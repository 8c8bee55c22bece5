"""Quantization of an encoder's graph to 8-bit integers."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from ktt_core.model import Batch
from ktt_core.quantization import QuantizationFigures
from ktt_models.export.comparison import compare
from ktt_models.export.onnx_layout import EXTERNAL_DATA, GRAPH_NAME, MAX_FILE_BYTES
from ktt_models.pytorch.onnx.folder import add_to_readme, package_of

if TYPE_CHECKING:
    from ktt_models.pytorch.model import PyTorchModel

__all__ = ["QUANTIZED_NAME", "add_quantized"]

QUANTIZED_NAME = "model.int8.onnx"

# All products with weights, and embeddings, which are half of a small encoder. Additions and
# normalisations are not quantized.
_OPERATORS = ["MatMul", "Gather"]


def add_quantized(model: PyTorchModel, folder: Path, rows: Iterable[Batch]) -> QuantizationFigures:
    """Write ``model.int8.onnx`` into an exported folder, and measure both graphs on rows.

    Weights are quantized once, with a scale per column; activations are quantized dynamically by
    their range, so that no calibration texts are needed. Only 7 of the weights' 8 bits are used:
    processors without VNNI add pairs of products in 16 bits, which would overflow.

    Parameters
    ----------
    model : PyTorchModel
    folder : Path
        What `ktt_models.pytorch.onnx.folder.write_folder` has written.
    rows : iterable of Batch
        With their texts under ``"text"``.
    """
    quantize(folder)
    figures = compare(folder, "int8", QUANTIZED_NAME, package_of(model), model.taxonomy, rows)
    add_to_readme(folder, figures)
    return figures


def quantize(folder: Path) -> None:
    """Write the quantized graph alone."""
    source, target = folder / GRAPH_NAME, folder / QUANTIZED_NAME
    beside = folder / EXTERNAL_DATA
    large = beside.exists() and beside.stat().st_size // 4 > MAX_FILE_BYTES
    root = logging.getLogger()
    level = root.level
    # It recommends a preprocessing of graphs that the tracer has done already.
    root.setLevel(logging.ERROR)
    try:
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=_OPERATORS,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=large,
        )
    finally:
        root.setLevel(level)
    model = onnx.load(target, load_external_data=False)
    model.producer_name, model.producer_version = "ktt", ""
    del model.graph.value_info[:]
    target.write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(target))
