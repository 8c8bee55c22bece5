"""Table of all changes to BentoML and its dependencies, with reasons and versions.

BentoML 0.13.1 is the last version of its kind, and has no extension points for these. They are
applied in the process of a bundle's command (`ktt_serving.launcher`), whose children are BentoML's
batching process and its workers; and in each process that loads a service (`ktt_serving.service`),
even without that command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ktt_serving.bentoml_patches.batching import batch_in_order, reach_workers
from ktt_serving.bentoml_patches.edge import (
    answer_clients,
    guard_connections,
    tell_nothing_of_requests,
)
from ktt_serving.bentoml_patches.gunicorn_server import (
    end_workers_at_once,
    know_when_it_works,
    listen_on,
    share_one_metrics_folder,
)
from ktt_serving.bentoml_patches.routes import add_routes_to_servers, log_no_messages
from ktt_serving.bentoml_patches.safe_unpickling import read_batches_safely
from ktt_serving.bentoml_patches.usage_reports import forget_usage_setting

__all__ = ["PATCHES", "Patch", "Process", "apply"]

Process = Literal["launcher", "service"]


@dataclass(frozen=True)
class Patch:
    """One change.

    Attributes
    ----------
    make : callable
        Applies the change in this process.
    process : str
        Process in which it is applied before BentoML runs: "launcher" or "service".
    touches : tuple of str
        Replaced attributes, and private ones that it calls: "module:attribute".
    made_for : mapping of str to str
        Pinned versions of their packages; for Python the minor version. Before raising one, review
        the change.
    why : str
    settings : tuple of str
        Arguments of `make`, from those of `apply`.
    """

    make: Callable[..., None]
    process: Process
    touches: tuple[str, ...]
    made_for: Mapping[str, str]
    why: str
    settings: tuple[str, ...] = ()


_BENTOML = {"bentoml": "0.13.1"}

PATCHES = (
    Patch(
        answer_clients,
        "launcher",
        (
            "bentoml.marshal.marshal:MarshalService.__mro__",
            "bentoml.marshal.marshal:MarshalService.request_dispatcher",
            "bentoml.marshal.marshal:MarshalService.relay_handler",
            "bentoml.marshal.marshal:MarshalService.make_app",
        ),
        _BENTOML,
        "The batching process answers what it does not expect (a large or broken body, a header, a "
        "Host) with 500 and a traceback in the log, waits for bodies forever, passes any request "
        "of any path to a worker, counts disconnected clients as refused, and keeps a metric "
        "for every requested path.",
    ),
    Patch(
        guard_connections,
        "launcher",
        (
            "bentoml.marshal.marshal:MarshalService.make_app",
            "aiohttp.web:Application._make_handler",
        ),
        {**_BENTOML, "aiohttp": "3.14.5"},
        "Requests of disconnected clients are still computed, and delay others: aiohttp "
        "cancels them only if configured, which BentoML does not do. Bodies are decompressed, "
        "to any size.",
    ),
    Patch(
        tell_nothing_of_requests,
        "launcher",
        (
            "aiohttp.web_protocol:RequestHandler.handle_error",
            "aiohttp.web_protocol:RequestHandler.log_exception",
        ),
        {**_BENTOML, "aiohttp": "3.14.5"},
        "aiohttp logs what it cannot parse, which may be part of a text, and answers with a line.",
    ),
    Patch(
        batch_in_order,
        "launcher",
        (
            "bentoml.marshal.marshal:MarshalService.setup_routes_from_pb",
            "bentoml.marshal.marshal:MarshalService.add_batch_handler",
            "bentoml.marshal.marshal:MarshalService._batch_handler_template",
            "bentoml.marshal.marshal:MarshalService.fetch_sema",
            "bentoml.marshal.marshal:NonBlockSema",
        ),
        _BENTOML,
        "Batches are formed from the newest requests: under load the oldest wait longest, and many "
        "are refused.",
    ),
    Patch(
        listen_on,
        "launcher",
        ("gunicorn.config:Config.set",),
        {**_BENTOML, "gunicorn": "23.0.0"},
        "All processes listen on all addresses, the workers at a port that none but the batching "
        "process needs, and there is no option for it.",
        settings=("host", "port", "workers_at"),
    ),
    Patch(
        reach_workers,
        "launcher",
        ("bentoml.marshal.marshal:MarshalService.get_conn",),
        {**_BENTOML, "aiohttp": "3.14.5"},
        "The batching process looks for the workers at a port.",
        settings=("workers_at",),
    ),
    Patch(
        end_workers_at_once,
        "launcher",
        (
            "bentoml.server.gunicorn_config:worker_exit",
            "multiprocessing.util:_run_finalizers",
        ),
        {**_BENTOML, "gunicorn": "23.0.0", "python": "3.11"},
        "Workers are forked within BentoML's command and run its rest, too: the batching process "
        "stops the workers, and may spin until it is killed.",
    ),
    Patch(
        share_one_metrics_folder,
        "launcher",
        (
            "bentoml.server.gunicorn_server:setup_prometheus_multiproc_dir",
            "bentoml.server.marshal_server:setup_prometheus_multiproc_dir",
        ),
        _BENTOML,
        "Each of its servers empties the folder of metrics at its start, so that the later one "
        "deletes files that the other one still uses.",
    ),
    Patch(
        forget_usage_setting,
        "service",
        ("bentoml.utils.usage_stats:_do_not_track",),
        _BENTOML,
        "The use of a service is reported to BentoML's makers, unless a variable forbids it, which "
        "is read once.",
    ),
    Patch(
        know_when_it_works,
        "service",
        ("gunicorn.workers.sync:SyncWorker.handle_request",),
        {**_BENTOML, "gunicorn": "23.0.0"},
        "A worker that does not finish a batch within a minute is killed despite its progress: "
        "BentoML's own batches may hold many long texts.",
    ),
    Patch(
        read_batches_safely,
        "service",
        ("bentoml.marshal.utils:PickleDataLoader.split_requests",),
        _BENTOML,
        "A worker loads any pickle that a client sends.",
    ),
    Patch(
        log_no_messages,
        "service",
        ("bentoml.server.api_server:log_exception",),
        _BENTOML,
        "The log of a failure has its message, which may quote a text.",
    ),
    Patch(
        add_routes_to_servers,
        "service",
        ("bentoml.server.api_server:BentoAPIServer.setup_routes",),
        _BENTOML,
        "How a server is built offers no place for more routes, its metrics are those of one "
        "worker, and it writes feedback to a log.",
    ),
)


def apply(process: Process, **settings: Any) -> None:
    """Apply all changes of a process.

    Those of a service are idempotent: several may be loaded in one process.

    Parameters
    ----------
    process : str
        "launcher" or "service".
    **settings
        For the launcher: ``host`` and ``port`` for clients, and the socket file of the workers
        (``workers_at``).
    """
    for patch in PATCHES:
        if patch.process == process:
            patch.make(**{name: settings[name] for name in patch.settings})
