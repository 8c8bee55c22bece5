"""A termination signal, as an exception."""

from __future__ import annotations

__all__ = ["TerminatedError"]


class TerminatedError(KeyboardInterrupt):
    """Raised at a termination signal, which stops work like Ctrl-C, but without a question."""
