"""Writing an ONNX graph down, operator by operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ktt_models.export.onnx_layout import EXTERNAL_DATA, IR_VERSION, MAX_FILE_BYTES, OPSET

__all__ = ["GraphBuilder"]

# Smaller constants stay in the file: shapes are worked out from some of them.
_MIN_EXTERNAL_BYTES = 2**16
# External tensors begin at multiples of it, so that they can be mapped into memory.
_ALIGNMENT = 4096


class GraphBuilder:
    """Collects operators and constants; a value is the name of what an operator gives."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, dtype: type, shape: list[str | int], doc: str) -> str:
        """Declare an input; a string is the name of a size that varies."""
        self._inputs.append(_value(name, dtype, shape, doc))
        return name

    def output(self, value: str, name: str, dtype: type, shape: list[str | int], doc: str) -> None:
        """Return a value out under a name."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name=name))
        self._outputs.append(_value(name, dtype, shape, doc))

    def constant(self, array: NDArray[Any], name: str = "") -> str:
        """Put an array into the graph; without a name it is one of many small ones."""
        name = name or f"constant_{len(self._constants)}"
        self._constants[name] = array
        return name

    def integers(self, *values: int) -> str:
        """Return a one-dimensional constant of int64."""
        return self.constant(np.array(values, dtype=np.int64))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Apply an operator with one output, and return that; an empty input is left out."""
        name = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def write(self, path: Path, doc: str, metadata: dict[str, str]) -> None:
        """Write the graph; its constants go beside it where they are too large for one file."""
        external = sum(array.nbytes for array in self._constants.values()) > MAX_FILE_BYTES
        large = {
            name: array
            for name, array in self._constants.items()
            if external and array.nbytes >= _MIN_EXTERNAL_BYTES
        }
        tensors = _write_external(path.with_name(EXTERNAL_DATA), large) if large else []
        tensors += [
            numpy_helper.from_array(array, name)
            for name, array in self._constants.items()
            if name not in large
        ]
        graph = helper.make_graph(self._nodes, path.stem, self._inputs, self._outputs, tensors)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        model.producer_name, model.doc_string = "ktt", doc
        helper.set_model_props(model, metadata)
        path.write_bytes(model.SerializeToString(deterministic=True))
        # By its path, so that the external data are found.
        onnx.checker.check_model(str(path))


def _value(name: str, dtype: type, shape: list[str | int], doc: str) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, shape, doc)


def _write_external(path: Path, constants: dict[str, NDArray[Any]]) -> list[onnx.TensorProto]:
    tensors = []
    with path.open("wb") as file:
        for name, array in constants.items():
            file.seek(-file.tell() % _ALIGNMENT, 1)
            tensor = TensorProto(
                name=name,
                dims=array.shape,
                data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
                data_location=TensorProto.EXTERNAL,
            )
            for key, value in (
                ("location", path.name),
                ("offset", file.tell()),
                ("length", array.nbytes),
            ):
                tensor.external_data.add(key=key, value=str(value))
            tensors.append(tensor)
            np.ascontiguousarray(array).tofile(file)
    return tensors
