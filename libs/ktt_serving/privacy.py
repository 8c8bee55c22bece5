"""Logging without contents of requests."""

from __future__ import annotations

import logging
import traceback
import uuid

__all__ = ["silence_request_logs", "log_failure"]

logger = logging.getLogger("ktt_serving")


def silence_request_logs() -> None:
    """Disable BentoML's logs of requests in this process."""
    for name in ("bentoml.prediction", "bentoml.feedback"):
        logging.getLogger(name).disabled = True
    # It warns at each start about images that it would build.
    logging.getLogger("bentoml.service.env").setLevel(logging.ERROR)
    # The development server logs the query of a URL.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    if not logger.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("[%(asctime)s] %(levelname)s - %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False


def log_failure(what: str, error: BaseException) -> str:
    """Log an unexpected error, and return its id in the log.

    The message of an exception may quote a text, so only its type and traceback are logged.

    Parameters
    ----------
    what : str
        What failed.
    error : BaseException
    """
    number = uuid.uuid4().hex[:12]
    places = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s failed with %s (error %s)\n%s", what, type(error).__name__, number, places)
    return number
