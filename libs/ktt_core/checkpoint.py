"""Deprecated: the old name of `ktt_core.checkpoints.format`. It goes in the next release."""

import warnings

from ktt_core.checkpoints.format import *  # noqa: F403

warnings.warn(
    "ktt_core.checkpoint is ktt_core.checkpoints.format now", DeprecationWarning, stacklevel=2
)
