"""Exit codes for scripts."""

from __future__ import annotations

from ktt_core.errors import (
    AuthenticationError,
    CheckpointError,
    ConflictError,
    DataError,
    FailedPreconditionError,
    InvalidArgumentError,
    KttError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
    UnsupportedError,
)

__all__ = ["EXIT_CODES_HELP", "FAILED", "INTERNAL", "INTERRUPTED", "exit_code_of"]

FAILED = 1
INTERNAL = 70
INTERRUPTED = 130

_CODES: dict[type[KttError], int] = {
    InvalidArgumentError: 2,
    UnsupportedError: 2,
    NotFoundError: 3,
    DataError: 4,
    CheckpointError: 4,
    ConflictError: 5,
    FailedPreconditionError: 5,
    AuthenticationError: 6,
    PermissionDeniedError: 6,
    UnavailableError: 7,
}

EXIT_CODES_HELP = """\b
Exit codes:
  0    done
  1    it was tried and failed
  2    a wrong flag, name or hyperparameter
  3    a file, dataset, model or checkpoint is missing
  4    rows or a checkpoint that cannot be used
  5    something of that name exists already, or is in use
  6    the server does not know you, or you may not
  7    the server cannot be reached
  70   a bug in KTT
  130  interrupted"""


def exit_code_of(error: KttError) -> int:
    """Return the exit code of an error: that of its nearest listed class, else 1."""
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return FAILED
