"""Deprecated: the old name of `ktt_packing.client.bundle`. It goes in the next release."""

import warnings

from ktt_packing.client.bundle import *  # noqa: F403

warnings.warn(
    "ktt_core.packing.bundle is ktt_packing.client.bundle now", DeprecationWarning, stacklevel=2
)
