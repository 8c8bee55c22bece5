"""Log lines: one JSON object each, on standard error, without any content of a request."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

__all__ = ["configure_logging"]

_FIELDS = ("monitor", "ms", "alarm", "address")
_LONGEST_MESSAGE = 8192


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:_LONGEST_MESSAGE],
        }
        for name in _FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                line[name] = value
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            # Location and type only: the message may quote a request.
            line["traceback"] = "".join(traceback.format_tb(error.__traceback__))
            line["error_type"] = f"{type(error).__module__}.{type(error).__qualname__}"
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(level: str) -> None:
    """Log messages of `level` ("debug", "info", "warning", "error") and above."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    # waitress logs a line for every queued request.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
