"""Vector steps for short rows of numbers, which a compiled loop would take one by one.

LLVM makes vectors of long loops; a node's children are few, and then checking whether the loop is
long enough takes longer than the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from ktt_models.sklearn.solvers.compiling import compiled

__all__ = ["add_lanes"]


def _add(n_lanes: int) -> Callable[..., Any]:
    """Return the compiled ``into[i:i + n_lanes] += factor * values[j:j + n_lanes]``, unchecked."""

    def typed(_: Any, into: Any, i: Any, values: Any, j: Any, factor: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            vector = ir.VectorType(ir.FloatType(), n_lanes)

            def at(which: int) -> Any:
                array = make_array(signature.args[which])(context, builder, arguments[which])
                place = builder.gep(array.data, [arguments[which + 1]])
                return builder.bitcast(place, vector.as_pointer())

            target = at(0)
            added = builder.load(at(2), align=4)
            factors = ir.Constant(vector, ir.Undefined)
            for lane in range(n_lanes):
                factors = builder.insert_element(
                    factors, arguments[4], ir.Constant(ir.IntType(32), lane)
                )
            product = builder.fmul(added, factors, flags=["fast"])
            total = builder.fadd(builder.load(target, align=4), product, flags=["fast"])
            builder.store(total, target, align=4)
            return context.get_dummy_value()

        one = types.Array(types.float32, 1, "C")
        return types.none(one, types.intp, one, types.intp, types.float32), generate

    return intrinsic(typed)


_add_four = _add(4)
_add_eight = _add(8)


@compiled(nogil=True, fastmath=True, inline="always")
def add_lanes(into: Any, first: int, values: Any, start: int, n_lanes: int, factor: float) -> None:
    """Add numbers times a factor to as many others, a multiple of four."""
    lane = 0
    while lane + 8 <= n_lanes:
        _add_eight(into, first + lane, values, start + lane, factor)
        lane += 8
    if lane < n_lanes:
        _add_four(into, first + lane, values, start + lane, factor)
