"""Deprecated: the old name of `ktt_packing.packer.layout`. It goes in the next release."""

import warnings

from ktt_packing.packer.layout import *  # noqa: F403

warnings.warn(
    "ktt_serving.layout is ktt_packing.packer.layout now", DeprecationWarning, stacklevel=2
)
