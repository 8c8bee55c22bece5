"""Log lines: one JSON object each, on standard error.

A line has ``time`` (UTC), ``level``, ``logger``, ``message``, and if known ``request_id``,
``job_id``, ``method``, ``code``, ``ms``, ``peer``, ``error_id``, ``traceback``. Texts of requests
are never logged: the message of an exception within a call may contain one, so tracebacks omit
messages unless the level is "debug".
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from ktt_rpc import call_state

__all__ = ["JsonFormatter", "configure_logging"]

#: Optional fields of a record (``extra={...}``).
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
    "error_type",
)
_LONGEST_MESSAGE = 8192


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
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
        if record.exc_info and record.exc_info[1] is not None:
            with_words = state is None or logging.getLogger().isEnabledFor(logging.DEBUG)
            line["traceback"] = _traceback(record.exc_info[1], with_words)
        return json.dumps(line, ensure_ascii=False, default=str)


def _traceback(error: BaseException, with_words: bool) -> str:
    """Return an exception's traceback; without messages only the class of each exception."""
    if with_words:
        return "".join(traceback.format_exception(error))
    parts: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        name = f"{type(current).__module__}.{type(current).__qualname__}"
        parts.insert(0, "".join(traceback.format_tb(current.__traceback__)) + name)
        hidden = current.__suppress_context__
        current = current.__cause__ or (None if hidden else current.__context__)
    return "\n\n".join(parts)


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, _: TracebackType | None
) -> None:
    logging.getLogger(__name__).critical("uncaught %s", kind.__name__, exc_info=error)


def _worth_telling(record: logging.LogRecord) -> bool:
    """Drop gRPC's message about callers that disconnect during an answer."""
    return not str(record.msg).startswith("ExecuteBatchError raised in core")


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Write all log records of this process to `stream` as JSON lines.

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
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda end: _log_uncaught(end.exc_type, end.exc_value, end.exc_traceback)
    # At debug level these log every poll of an event loop.
    for chatty in ("asyncio", "grpc._cython.cygrpc"):
        logging.getLogger(chatty).setLevel(max(logging.INFO, root.level))
    logging.getLogger("grpc._cython.cygrpc").addFilter(_worth_telling)
