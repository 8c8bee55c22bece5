"""A termination signal, as an exception."""

from __future__ import annotations

__all__ = ["TerminatedError"]


class TerminatedError(KeyboardInterrupt):
    """A termination signal: it stops what Ctrl-C stops, without a question."""
