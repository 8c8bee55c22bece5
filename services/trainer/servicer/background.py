"""Work in a thread that continues after the end of its call."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ktt_core.errors import KttError

__all__ = ["finish_in_background"]

_log = logging.getLogger(__name__)


async def finish_in_background(running: asyncio.Future[Any]) -> None:
    """Wait for work whose result is not needed any more; log an unexpected failure."""
    await asyncio.wait([running])
    error = None if running.cancelled() else running.exception()
    if error is not None and not isinstance(error, KttError):
        _log.error("the work of a call that has ended failed", exc_info=error)
