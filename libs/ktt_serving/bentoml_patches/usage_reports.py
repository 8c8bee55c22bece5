"""BentoML's reports of use, switched off for a service however it is started."""

from __future__ import annotations

import os

__all__ = ["forget_usage_setting"]


def forget_usage_setting() -> None:
    """Forbid reports, and have BentoML read anew whether they are.

    The command that starts a server reports its own end, too: it reads the environment before a
    bundle's code is known, so a bundle's image sets ``BENTOML_DO_NOT_TRACK`` there.
    """
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    from bentoml.utils import usage_stats

    usage_stats._do_not_track.cache_clear()
