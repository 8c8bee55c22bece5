"""Checks of the requested exports."""

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
    """Check all exports before the first starts; return those to leave out.

    Parameters
    ----------
    specs : sequence of ExportSpec
    check : callable
        Raises if an export cannot be made.
    leave_out : bool
        Whether to leave out exports that a model does not support.
    watcher : Watcher
        Receives notices of what is left out, and why.

    Raises
    ------
    UnsupportedError
        If all would be left out.
    KttError
        For any other reason.
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
