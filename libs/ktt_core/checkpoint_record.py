"""Deprecated: the old name of `ktt_core.checkpoints.record`. It goes in the next release."""

import warnings
from typing import Protocol, runtime_checkable

from ktt_core.checkpoints.record import *  # noqa: F403
from ktt_core.checkpoints.record import RunRecord

warnings.warn(
    "ktt_core.checkpoint_record is ktt_core.checkpoints.record now",
    DeprecationWarning,
    stacklevel=2,
)


@runtime_checkable
class KeepsRecord(Protocol):
    """What every `ktt_core.model.Model` is: it has a record of the run that made its weights."""

    record: RunRecord
