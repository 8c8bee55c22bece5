"""The graph of an encoder model: token ids in, log-probabilities of the leaves out.

torch traces the network with dynamic batch and sequence sizes. The tracer's metadata (source
locations, inferred shapes) is removed: it would reveal paths of this machine, and be larger than
the operators.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from ktt_core.errors import UnsupportedError
from ktt_models.export.onnx_layout import IR_VERSION, MAX_FILE_BYTES, OPSET
from ktt_models.pytorch.onnx.network import Answers, ExportedNetwork

__all__ = ["INPUTS", "OUTPUTS", "write_graph"]

INPUTS = ("input_ids", "attention_mask")
OUTPUTS = Answers._fields

_DOCS = {
    "input_ids": "Token ids of the texts, padded to the longest.",
    "attention_mask": "1 where a token is, 0 where a row is padded.",
    "log_proba": "Calibrated log-probabilities of the leaves.",
    "scores": "The head's own scores, before calibration.",
    "features": "The encoder's features, averaged by 32.",
}

# Sizes of one would be traced as constants.
_EXAMPLE = (2, 3)


def write_graph(
    network: ExportedNetwork, path: Path, max_length: int, metadata: dict[str, str]
) -> dict[str, int]:
    """Trace a network and write it as a graph.

    Parameters
    ----------
    network : ExportedNetwork
        In evaluation mode, on the CPU.
    path : Path
        Graph file. Large weights are stored in a second file beside it.
    max_length : int
        The longest text, in tokens.
    metadata : dict of str to str
        Metadata of the file.

    Returns
    -------
    dict of str to int
        The outputs' columns, by their names.

    Raises
    ------
    UnsupportedError
        If the encoder or the head uses operations that a graph cannot represent.
    """
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    with _eager_attention(network), _quiet():
        program = _trace(network, max_length)
        program.save(path, external_data=weights > MAX_FILE_BYTES)
    model = onnx.load(path, load_external_data=False)
    _tidy(model, metadata)
    path.write_bytes(model.SerializeToString(deterministic=True))
    # By path, so that the weights beside it are found.
    onnx.checker.check_model(str(path))
    return {value.name: _columns(value) for value in model.graph.output}


def _trace(network: ExportedNetwork, max_length: int) -> torch.onnx.ONNXProgram:
    batch = torch.export.Dim("batch")
    sequence = torch.export.Dim("sequence", max=max_length)
    example = torch.ones(_EXAMPLE, dtype=torch.int64)
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                network,
                (example, example.clone()),
                dynamo=True,
                dynamic_shapes=({0: batch, 1: sequence},) * 2,
                input_names=INPUTS,
                output_names=OUTPUTS,
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:  # torch raises many different exceptions
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UnsupportedError(
            f"the network cannot be written as a graph of varying batch and length: {reason:.300}"
        ) from error
    assert program is not None, "dynamo gives a program"
    return program


def _columns(output: onnx.ValueInfoProto) -> int:
    return int(output.type.tensor_type.shape.dim[1].dim_value)


def _tidy(model: onnx.ModelProto, metadata: dict[str, str]) -> None:
    """Remove everything except operators, weights and our metadata."""
    graph = model.graph
    for field in (graph.metadata_props, graph.value_info, model.metadata_props, model.functions):
        del field[:]
    items: list[Any] = [*graph.node, *graph.initializer, *graph.input, *graph.output]
    for item in items:
        item.ClearField("doc_string")
        del item.metadata_props[:]
    for value in (*graph.input, *graph.output):
        value.doc_string = _DOCS[value.name]
    model.ir_version, graph.name = IR_VERSION, "model"
    model.producer_name, model.producer_version, model.doc_string = "ktt", "", ""
    onnx.helper.set_model_props(model, metadata)


@contextlib.contextmanager
def _eager_attention(network: nn.Module) -> Iterator[None]:
    """Trace attention as products and a softmax, which every runtime supports.

    The fused form adds copies and a guard for rows that are fully masked.
    """
    configs: list[Any] = []
    for module in network.modules():
        config = getattr(module, "config", None)
        if hasattr(config, "_attn_implementation") and not any(config is one for one in configs):
            configs.append(config)
    before = [config._attn_implementation for config in configs]
    try:
        for config in configs:
            config._attn_implementation = "eager"
        yield
    finally:
        for config, implementation in zip(configs, before, strict=True):
            config._attn_implementation = implementation


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the tracer's messages about itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
