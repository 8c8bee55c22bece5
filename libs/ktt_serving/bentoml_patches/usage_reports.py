"""Disabling of BentoML's usage reports, however a service is started."""

from __future__ import annotations

import os

__all__ = ["forget_usage_setting"]


def forget_usage_setting() -> None:
    """Forbid reports, and make BentoML read the setting again.

    BentoML's command reports its own end, too, and reads the environment before it loads a bundle's
    code, so a bundle's image sets ``BENTOML_DO_NOT_TRACK``.
    """
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    from bentoml.utils import usage_stats

    usage_stats._do_not_track.cache_clear()
