"""Additional routes for BentoML's HTTP servers, and restricted logs."""

from __future__ import annotations

from typing import Any

from ktt_serving.privacy import log_failure

__all__ = ["add_routes_to_servers", "log_no_messages"]


def add_routes_to_servers() -> None:
    """Make servers of this process serve the routes of `ktt_serving.server`, too."""
    # It imports prometheus_client, which the launcher must not.
    from bentoml.server import api_server

    from ktt_serving.server import add_routes

    original = api_server.BentoAPIServer.setup_routes
    if getattr(original, "_ktt", False):
        return

    def setup_routes(self: Any) -> None:
        original(self)
        if hasattr(self.bento_service, "describe"):
            add_routes(self.app, self.bento_service)

    setup_routes._ktt = True  # type: ignore[attr-defined]
    api_server.BentoAPIServer.setup_routes = setup_routes


def log_no_messages() -> None:
    """Make servers of this process log failures as `ktt_serving.privacy` does."""
    from bentoml.server import api_server

    api_server.log_exception = _log_exception


def _log_exception(exc_info: Any) -> None:
    log_failure("a batch", exc_info[1])
