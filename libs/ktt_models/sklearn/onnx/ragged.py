"""Ragged gathers in a graph: ranges of a long array, without loops."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from ktt_models.sklearn.onnx.builder import GraphBuilder

__all__ = ["Ranges", "below_2_31", "pick"]


def pick(graph: GraphBuilder, array: str, positions: str) -> str:
    """Return ``array[positions]``, both one-dimensional.

    onnxruntime's GatherElements takes a tenth of its Gather's time for single numbers.
    """
    return graph.op("GatherElements", array, positions, axis=0)


def below_2_31(graph: GraphBuilder, number: str) -> str:
    """Return a number, int64 of shape (1,), with an error at run time if it is larger.

    An overflow of int32 would give wrong numbers. No operator raises errors on purpose, but reading
    behind the end of a constant does.
    """
    nothing = graph.integers(0)
    excess = graph.op("Div", number, graph.integers(2**31))
    return graph.op("Add", number, pick(graph, nothing, excess))


class Ranges:
    """Ranges written out, one after the other, as `ktt_core.tfidf.weights.expand_ranges` does.

    Parameters
    ----------
    graph : GraphBuilder
    lengths : str
        Of the ranges: int64, shape (ranges,).
    dtype : numpy.int64 or numpy.int32
        What elements are counted in: half the memory and four fifths of the time with int32. All
        lengths together, and all elements, must then be below 2**31.

    Attributes
    ----------
    owners : str
        Which range each element is of, ascending; shape (elements,).
    """

    def __init__(
        self, graph: GraphBuilder, lengths: str, dtype: type[np.signedinteger] = np.int64
    ) -> None:
        self._graph = graph
        self._kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        zero, one = graph.integers(0), graph.constant(np.array([1], dtype=dtype))
        scalars = [graph.constant(np.array(value, dtype=dtype)) for value in (0, 1)]
        total = graph.op("ReduceSum", lengths, zero, keepdims=1)
        if dtype is np.int32:
            total = below_2_31(graph, total)
        # A mark where a range begins; those of empty ranges add up. The last ones may begin behind
        # all elements.
        marks = graph.op(
            "ConstantOfShape",
            graph.op("Add", total, graph.integers(1)),
            value=helper.make_tensor("zero", self._kind, [1], [0]),
        )
        before = graph.op("CumSum", lengths, scalars[0], exclusive=1)
        self._before = self._counted(before)
        ones = graph.op("Expand", one, graph.op("Shape", lengths))
        marks = graph.op("ScatterElements", marks, self._before, ones, axis=0, reduction="add")
        begun = graph.op("CumSum", marks, scalars[0])
        self.owners = graph.op("Sub", graph.op("Slice", begun, zero, graph.integers(-1)), one)
        end = self._counted(graph.op("Squeeze", total))
        self._places = graph.op("Range", scalars[0], end, scalars[1])

    def of_owner(self, values: str) -> str:
        """Return each element's range's value; `values` has the shape (ranges,)."""
        return pick(self._graph, values, self.owners)

    def counted_from(self, starts: str) -> str:
        """Return the elements of ranges that begin at `starts`, int64, shape (ranges,)."""
        shifts = self._graph.op("Sub", self._counted(starts), self._before)
        return self._graph.op("Add", self._places, self.of_owner(shifts))

    def _counted(self, values: str) -> str:
        if self._kind == TensorProto.INT64:
            return values
        return self._graph.op("Cast", values, to=self._kind)
