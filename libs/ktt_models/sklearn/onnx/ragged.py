"""Ragged gathers in a graph: reading ranges of a long array without a loop over the ranges."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from ktt_models.sklearn.onnx.builder import GraphBuilder

__all__ = ["Ranges", "pick"]


def pick(graph: GraphBuilder, array: str, positions: str) -> str:
    """Return ``array[positions]``, both one-dimensional.

    onnxruntime's GatherElements takes a tenth of its Gather's time for single numbers.
    """
    return graph.op("GatherElements", array, positions, axis=0)


class Ranges:
    """Ranges written out, one after the other, as `ktt_core.tfidf.weights.expand_ranges` does.

    Parameters
    ----------
    graph : GraphBuilder
    lengths : str
        Of the ranges: int64, shape (ranges,).

    Attributes
    ----------
    owners : str
        Which range each element is of, ascending; int64, shape (elements,).
    """

    def __init__(self, graph: GraphBuilder, lengths: str) -> None:
        self._graph = graph
        zero, one = graph.integers(0), graph.integers(1)
        scalar_zero = graph.constant(np.array(0, dtype=np.int64))
        scalar_one = graph.constant(np.array(1, dtype=np.int64))
        self._before = graph.op("CumSum", lengths, scalar_zero, exclusive=1)
        total = graph.op("ReduceSum", lengths, zero, keepdims=0)
        # A mark where a range begins; those of empty ranges add up. The last one may begin behind
        # all elements.
        marks = graph.op(
            "ConstantOfShape",
            graph.op("Add", graph.op("Reshape", total, one), one),
            value=helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        )
        ones = graph.op("Expand", one, graph.op("Shape", lengths))
        marks = graph.op("ScatterElements", marks, self._before, ones, axis=0, reduction="add")
        begun = graph.op("CumSum", marks, scalar_zero)
        begun = graph.op("Slice", begun, zero, graph.integers(-1))
        self.owners = graph.op("Sub", begun, one)
        self._places = graph.op("Range", scalar_zero, total, scalar_one)

    def of_owner(self, values: str) -> str:
        """Return each element's range's value; `values` has the shape (ranges,)."""
        return pick(self._graph, values, self.owners)

    def counted_from(self, starts: str) -> str:
        """Return the elements of ranges that begin at `starts`, int64, shape (ranges,)."""
        shifts = self._graph.op("Sub", starts, self._before)
        return self._graph.op("Add", self._places, self.of_owner(shifts))
