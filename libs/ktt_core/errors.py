"""Typed errors. What a user can mend is a :class:`KttError`; anything else is a bug.

::

    KttError
     ├── InvalidArgumentError      a flag, name, key or value is wrong
     │    └── InvalidConfigError   a hyperparameter is unknown or out of range
     ├── NotFoundError             a file, dataset, model or checkpoint does not exist
     ├── ConflictError             something of that name exists already
     ├── DataError                 rows or labels of a source cannot be used
     ├── CheckpointError           a checkpoint is damaged, foreign or unsafe
     ├── UnsupportedError          the model cannot do what was asked
     └── TrainingError             a training run failed
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ConflictError",
    "DataError",
    "InvalidArgumentError",
    "InvalidConfigError",
    "KttError",
    "NotFoundError",
    "TrainingError",
    "UnsupportedError",
]


class KttError(Exception):
    """Base of what a user can act on: the message says what was wrong, where and what to do."""


class InvalidArgumentError(KttError):
    """A flag, name or value is outside what is allowed."""


class InvalidConfigError(InvalidArgumentError):
    """A hyperparameter is unknown, of the wrong type or out of range."""


class NotFoundError(KttError):
    """A file, dataset, model or checkpoint does not exist."""


class ConflictError(KttError):
    """Something of that name exists already."""


class DataError(KttError):
    """The rows or labels of a source cannot be used."""


class CheckpointError(KttError):
    """A checkpoint is damaged, belongs to something else, or holds what must not be loaded."""


class UnsupportedError(KttError):
    """The model or format cannot do what was asked."""


class TrainingError(KttError):
    """A training run stopped without a result."""
