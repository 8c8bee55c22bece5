"""Log lines: one JSON object each, on standard error.

A line has ``time`` (UTC), ``level``, ``logger``, ``message``, and where they are known
``request_id``, ``job_id``, ``method``, ``code``, ``ms``, ``peer``, ``error_id``, ``traceback``.
Texts of requests are never logged.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from ktt_rpc import call_state

__all__ = ["JsonFormatter", "configure_logging"]

#: What a record may carry beside its message (``extra={...}``).
FIELDS = (
    "request_id",
    "job_id",
    "method",
    "code",
    "ms",
    "peer",
    "error_id",
    "address",
    "state",
    "kind",
)
_LONGEST_MESSAGE = 8192


class JsonFormatter(logging.Formatter):
    """Makes a record one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        message = record.getMessage()
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message[:_LONGEST_MESSAGE],
        }
        state = call_state.current()
        if state is not None:
            line["request_id"] = state.request_id
            line["method"] = state.method
            if state.job_id:
                line["job_id"] = state.job_id
        for name in FIELDS:
            value = getattr(record, name, None)
            if value not in (None, ""):
                line[name] = value
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to `stream` as JSON lines.

    Parameters
    ----------
    level : str
        "debug", "info", "warning" or "error".
    stream : file, optional
        By default standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    # At debug level these tell of every poll of an event loop.
    for chatty in ("asyncio", "grpc._cython.cygrpc"):
        logging.getLogger(chatty).setLevel(max(logging.INFO, root.level))
