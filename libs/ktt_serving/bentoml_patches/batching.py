"""Changes to the batches of BentoML's batching process.

This module must not import `prometheus_client`, whose folder is not known yet.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import BaseConnector, UnixConnector
from bentoml.marshal import marshal

from ktt_serving.bentoml_patches.edge import error_response
from ktt_serving.dispatcher import FairDispatcher, Slots
from ktt_serving.text_lists import cut_list

__all__ = [
    "batch_in_order",
    "fair_dispatcher",
    "reach_workers",
]


def reach_workers(workers_at: Path) -> None:
    """Make batching processes connect to workers by a private socket file."""

    def get_conn(self: Any) -> BaseConnector:
        if self._conn is None or self._conn.closed:
            self._conn = UnixConnector(str(workers_at))
        return self._conn  # type: ignore[no-any-return]

    marshal.MarshalService.get_conn = get_conn


def batch_in_order() -> None:
    """Make batching processes use `ktt_serving.dispatcher`."""
    service = marshal.MarshalService
    set_up_routes = service.setup_routes_from_pb

    def setup_routes_from_pb(self: Any, metadata: Any) -> None:
        # `ktt_serving.adapters.TextRequests` stores its options there.
        self.ktt_list_routes = {
            api.route for api in metadata.apis if "lists" in api.input_config.fields
        }
        set_up_routes(self, metadata)

    def add_batch_handler(self: Any, route: str, max_latency: int, max_batch_size: int) -> None:
        if route not in self.batch_handlers:
            takes_lists = route in self.ktt_list_routes
            dispatcher = fair_dispatcher(max_batch_size, self.fetch_sema(), takes_lists)
            answer = partial(self._batch_handler_template, api_route=route, max_latency=max_latency)
            self.batch_handlers[route] = dispatcher(answer)
            self.cleanup_tasks.append(dispatcher.shutdown)

    service.setup_routes_from_pb = setup_routes_from_pb
    service.add_batch_handler = add_batch_handler
    marshal.NonBlockSema = Slots


def fair_dispatcher(max_batch_size: int, slots: Slots, takes_lists: bool) -> FairDispatcher:
    """Create the replacement of BentoML's ``CorkDispatcher`` for one API."""
    divide = {"divide": cut_list} if takes_lists else {}
    return FairDispatcher(max_batch_size, slots, lambda: error_response(429, _TOO_MANY), **divide)


_TOO_MANY = "too many requests wait; try again later"
