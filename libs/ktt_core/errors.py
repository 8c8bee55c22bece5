"""Typed errors. What a user can mend is a :class:`KttError`; anything else is a bug.

::

    KttError
     ├── InvalidArgumentError      a flag, name, key or value is wrong
     │    └── InvalidConfigError   a hyperparameter is unknown or out of range
     ├── NotFoundError             a file, dataset, model, checkpoint or job does not exist
     │    └── MissingEncoderError  an encoder is not on the machine, and might be fetched
     ├── ConflictError             something of that name exists already, or somebody holds it
     │    └── AlreadyExistsError   the same request was made before with another content
     ├── FailedPreconditionError   what was asked is right, but not in the present state
     │    └── NothingToResumeError there is no run to continue
     ├── ResourceExhaustedError    no room, too many, too big
     │    └── QueueFullError       as many jobs wait as may
     ├── AuthenticationError       nobody knows who asks
     ├── PermissionDeniedError     who asks may not
     ├── UnavailableError          a service or its store cannot be reached just now
     ├── DataError                 rows or labels of a source cannot be used
     ├── CheckpointError           a checkpoint is damaged, foreign or unsafe
     ├── UnsupportedError          the model cannot do what was asked
     ├── TrainingError             a training run failed
     └── JobFailedError            a job ended without a result
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable

__all__ = [
    "DISK_FULL",
    "AlreadyExistsError",
    "AuthenticationError",
    "CheckpointError",
    "ConflictError",
    "DataError",
    "FailedPreconditionError",
    "InvalidArgumentError",
    "InvalidConfigError",
    "JobFailedError",
    "KttError",
    "MissingEncoderError",
    "NotFoundError",
    "NothingToResumeError",
    "PermissionDeniedError",
    "QueueFullError",
    "ResourceExhaustedError",
    "TrainingError",
    "UnavailableError",
    "UnsupportedError",
    "error_class",
    "is_disk_full",
]

#: How the system says that there is no room: on a disk, in a quota, or in a file of limited size.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class KttError(Exception):
    """Base of what a user can act on: the message says what was wrong, where and what to do."""


class InvalidArgumentError(KttError):
    """A flag, name or value is outside what is allowed.

    Parameters
    ----------
    *args : object
        The message.
    field : str
        The field of the request that is wrong ("dataset", "spec.epochs"), or "".
    violations : iterable of (str, str)
        If several are wrong: each field, and what is wrong with it. `field` is then the first.
    """

    def __init__(
        self, *args: object, field: str = "", violations: Iterable[tuple[str, str]] = ()
    ) -> None:
        super().__init__(*args)
        self.violations = tuple(violations)
        self.field = field or next((name for name, _ in self.violations), "")

    def rename_fields(self, rename: Callable[[str], str]) -> None:
        """Give every field its name in a greater message."""
        self.violations = tuple((rename(name), problem) for name, problem in self.violations)
        self.field = rename(self.field) if self.field else ""


class InvalidConfigError(InvalidArgumentError):
    """A hyperparameter is unknown, of the wrong type or out of range."""


class NotFoundError(KttError):
    """A file, dataset, model, checkpoint or job does not exist."""


class MissingEncoderError(NotFoundError):
    """No encoder of that name is on the machine; the hub may have it."""


class ConflictError(KttError):
    """Something of that name exists already, or another process holds it."""


class AlreadyExistsError(ConflictError):
    """A request with the same id was made before, and asked for something else."""


class FailedPreconditionError(KttError):
    """What was asked is right in itself, but the state of things does not allow it."""


class NothingToResumeError(FailedPreconditionError):
    """There is no run to continue: none was begun, all are finished, or the model keeps none."""


class ResourceExhaustedError(KttError):
    """There is no room for it: a disk, a limit or a quota is used up."""


class QueueFullError(ResourceExhaustedError):
    """As many jobs are waiting as may wait."""


class AuthenticationError(KttError):
    """The caller showed no token or certificate, or one that is not valid."""


class PermissionDeniedError(KttError):
    """The caller is known and may not do this."""


class UnavailableError(KttError):
    """A service, or what it needs, cannot be reached just now; trying again may help."""


class DataError(KttError):
    """The rows or labels of a source cannot be used."""


class CheckpointError(KttError):
    """A checkpoint is damaged, belongs to something else, or holds what must not be loaded."""


class UnsupportedError(KttError):
    """The model or format cannot do what was asked."""


class TrainingError(KttError):
    """A training run stopped without a result."""


class JobFailedError(KttError):
    """A job ended without a result."""


def is_disk_full(error: BaseException) -> bool:
    """Say whether an error is the system's word that there is no room for what is written."""
    return isinstance(error, OSError) and error.errno in DISK_FULL


def error_class(name: str) -> type[KttError] | None:
    """Return the class of this module that has a name, which came from a file or another process.

    Returns
    -------
    type or None
        None if there is none.
    """
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, KttError) else None
