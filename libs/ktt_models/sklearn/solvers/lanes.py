"""Vector steps for short rows of numbers, which a compiled loop would take one by one.

LLVM makes vectors of long loops; a node's children are few, and then checking whether the loop is
long enough takes longer than the loop. Nor does it keep a sum in registers that lies in an array,
for all it knows part of what is added.

Loops of numba alone, with the sums of eight children in variables of their own, took 1.6 to 2 times
the processor time to fit and 1.6 to 2.2 times to predict (features of flipkart_titles and
onet_titles, four epochs, one thread, three turns each).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ktt_models.sklearn.solvers.compiling import compiled

__all__ = ["add_lanes", "sum_entries"]

_FLOATS = types.Array(types.float32, 1, "C")
_INTEGER = ir.IntType(64)


def _vector(n_lanes: int) -> ir.VectorType:
    return ir.VectorType(ir.FloatType(), n_lanes)


def _splat(builder: Any, number: Any, n_lanes: int) -> Any:
    found = ir.Constant(_vector(n_lanes), ir.Undefined)
    for lane in range(n_lanes):
        found = builder.insert_element(found, number, ir.Constant(ir.IntType(32), lane))
    return found


def _at(builder: Any, data: Any, place: Any, n_lanes: int) -> Any:
    return builder.bitcast(builder.gep(data, [place]), _vector(n_lanes).as_pointer())


def _plus(builder: Any, total: Any, added: Any, factor: Any) -> Any:
    return builder.fadd(total, builder.fmul(added, factor, flags=["fast"]), flags=["fast"])


def _add(n_lanes: int) -> Callable[..., Any]:
    """Return the compiled ``into[i:i + n_lanes] += factor * values[j:j + n_lanes]``, unchecked."""

    def typed(_: Any, into: Any, i: Any, values: Any, j: Any, factor: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def at(which: int) -> Any:
                array = make_array(signature.args[which])(context, builder, arguments[which])
                return _at(builder, array.data, arguments[which + 1], n_lanes)

            target = at(0)
            added = builder.load(at(2), align=4)
            factors = _splat(builder, arguments[4], n_lanes)
            total = _plus(builder, builder.load(target, align=4), added, factors)
            builder.store(total, target, align=4)
            return context.get_dummy_value()

        return types.none(_FLOATS, types.intp, _FLOATS, types.intp, types.float32), generate

    return intrinsic(typed)


def _sum(n_lanes: int) -> Callable[..., Any]:
    """Return the compiled sum, for one range of lanes, that `sum_entries` describes."""
    pieces = [(first, min(8, n_lanes - first)) for first in range(0, n_lanes, 8)]

    def typed(
        _: Any, block: Any, value: Any, begin: Any, end: Any, blocks: Any, lane: Any, into: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            def data(which: int) -> Any:
                return make_array(signature.args[which])(context, builder, arguments[which]).data

            def whole(number: int) -> Any:
                return ir.Constant(_INTEGER, number)

            entry_block, entry_value, blocks, into = (data(i) for i in (0, 1, 4, 6))
            begin, end, lane = (arguments[i] for i in (2, 3, 5))
            # Neighbours go to two sums, so that none waits for the other.
            sums = [
                [cgutils.alloca_once(builder, _vector(width)) for _, width in pieces]
                for _ in range(2)
            ]
            for some in sums:
                for total, (_, width) in zip(some, pieces, strict=True):
                    builder.store(ir.Constant(_vector(width), None), total)

            def add(entry: Any, some: list[Any]) -> None:
                place = builder.mul(entry, whole(2))
                block = builder.load(builder.gep(entry_block, [place]))
                value = builder.load(builder.gep(entry_value, [builder.add(place, whole(1))]))
                start = builder.mul(builder.sext(block, _INTEGER), whole(4))
                start = builder.add(start, lane)
                for total, (first, width) in zip(some, pieces, strict=True):
                    at = _at(builder, blocks, builder.add(start, whole(first)), width)
                    added, factors = builder.load(at, align=4), _splat(builder, value, width)
                    builder.store(_plus(builder, builder.load(total), added, factors), total)

            n_entries = builder.sub(end, begin)
            with cgutils.for_range(builder, builder.lshr(n_entries, whole(1))) as loop:
                entry = builder.add(begin, builder.mul(loop.index, whole(2)))
                add(entry, sums[0])
                add(builder.add(entry, whole(1)), sums[1])
            with builder.if_then(builder.trunc(n_entries, ir.IntType(1))):
                add(builder.sub(end, whole(1)), sums[0])
            for one, other, (first, width) in zip(*sums, pieces, strict=True):
                target = _at(builder, into, builder.add(lane, whole(first)), width)
                total = builder.fadd(builder.load(one), builder.load(other), flags=["fast"])
                total = builder.fadd(builder.load(target, align=4), total, flags=["fast"])
                builder.store(total, target, align=4)
            return context.get_dummy_value()

        numbers, values = (types.Array(kind, 2, "C") for kind in (types.int32, types.float32))
        of = numbers, values, types.intp, types.intp, _FLOATS, types.intp, _FLOATS
        return types.none(*of), generate

    return intrinsic(typed)


_add_four = _add(4)
_add_eight = _add(8)
_sum_four = _sum(4)
_sum_eight = _sum(8)
_sum_twelve = _sum(12)
_sum_sixteen = _sum(16)


@compiled(nogil=True, fastmath=True, inline="always")
def add_lanes(into: Any, first: int, values: Any, start: int, n_lanes: int, factor: float) -> None:
    """Add numbers times a factor to as many others, a multiple of four."""
    lane = 0
    while lane + 8 <= n_lanes:
        _add_eight(into, first + lane, values, start + lane, factor)
        lane += 8
    if lane < n_lanes:
        _add_four(into, first + lane, values, start + lane, factor)


@compiled(nogil=True, fastmath=True)
def sum_entries(
    entry_block: Any, entry_value: Any, begin: int, end: int, blocks: Any, n_lanes: int, into: Any
) -> None:
    """Add entries' blocks times their values to `into`.

    Parameters
    ----------
    entry_block : ndarray of int32, shape (entries, 2)
        In the first column: where a block begins, in fours.
    entry_value : ndarray of float32, shape (entries, 2)
        In the second: what it is multiplied by.
    begin, end : int
        The entries.
    blocks : ndarray of float32
    n_lanes : int
        Numbers in a block, a multiple of four.
    into : ndarray of float32
    """
    lane = 0
    while lane < n_lanes:
        left = n_lanes - lane
        if left >= 16:
            _sum_sixteen(entry_block, entry_value, begin, end, blocks, lane, into)
        elif left == 12:
            _sum_twelve(entry_block, entry_value, begin, end, blocks, lane, into)
        elif left == 8:
            _sum_eight(entry_block, entry_value, begin, end, blocks, lane, into)
        else:
            _sum_four(entry_block, entry_value, begin, end, blocks, lane, into)
        lane += min(left, 16)
