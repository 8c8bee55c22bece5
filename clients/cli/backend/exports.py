"""Which of the exports that were asked for can be made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cli.backend.protocol import Watcher
from ktt_core.errors import UnsupportedError

if TYPE_CHECKING:
    from exporter import ExportSpec

__all__ = ["check_each"]


def check_each(
    specs: Sequence[ExportSpec],
    check: Callable[[ExportSpec], None],
    leave_out: bool,
    watcher: Watcher,
) -> list[ExportSpec]:
    """Check every export before the first is made; return those to be left out.

    Parameters
    ----------
    specs : sequence of ExportSpec
    check : callable
        Raises what speaks against one.
    leave_out : bool
        Whether what a model cannot do is a reason to leave it out.
    watcher : Watcher
        Hears what is left out, and why.

    Raises
    ------
    UnsupportedError
        If all would be left out.
    KttError
        What else speaks against one.
    """
    reasons: list[str] = []
    left_out: list[ExportSpec] = []
    for spec in specs:
        try:
            check(spec)
        except UnsupportedError as error:
            if not leave_out:
                raise
            left_out.append(spec)
            reasons.append(f"{spec.model} on {spec.dataset}: {error}")
    if specs and len(left_out) == len(specs):
        raise UnsupportedError("\n".join(reasons))
    for reason in reasons:
        watcher.notice(f"left out: {reason}")
    return left_out
