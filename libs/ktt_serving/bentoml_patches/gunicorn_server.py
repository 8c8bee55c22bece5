"""Changes to BentoML's gunicorn servers: addresses, timeouts and exits of workers."""

from __future__ import annotations

import multiprocessing.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = [
    "end_workers_at_once",
    "know_when_it_works",
    "listen_on",
    "share_one_metrics_folder",
    "still_working",
]

_notify: Callable[[], None] | None = None


def listen_on(host: str, port: int, workers_at: Path) -> None:
    """Make the batching process listen on an address, and the workers on a socket file."""
    from gunicorn.config import Config

    assign = Config.set

    def listen_there(self: Any, name: str, value: Any) -> None:
        # BentoML has no option for it: it binds all addresses.
        if name == "bind":
            is_own = str(value).rpartition(":")[2] == str(port)
            value = f"{host}:{port}" if is_own else f"unix:{workers_at}"
        assign(self, name, value)

    Config.set = listen_there


def share_one_metrics_folder() -> None:
    """Empty the folder of the counts here, before any process counts."""
    from bentoml.server import gunicorn_server, instruments, marshal_server

    instruments.setup_prometheus_multiproc_dir()
    for module in (gunicorn_server, marshal_server):
        module.setup_prometheus_multiproc_dir = lambda lock=None: None


def know_when_it_works() -> None:
    """Make `still_working` notify gunicorn, in each worker of this process."""
    from gunicorn.workers.sync import SyncWorker

    original = SyncWorker.handle_request
    if getattr(original, "_ktt", False):
        return

    def handle_request(self: Any, *args: Any) -> Any:
        global _notify
        _notify = self.notify
        return original(self, *args)

    handle_request._ktt = True  # type: ignore[attr-defined]
    SyncWorker.handle_request = handle_request


def still_working() -> None:
    """Notify gunicorn that this worker makes progress with its batch, and must not be killed."""
    if _notify is not None:
        _notify()


def end_workers_at_once() -> None:
    """Make worker processes exit at the end of their work."""
    from bentoml.server import gunicorn_config

    clean_up = gunicorn_config.worker_exit

    def worker_exit(server: Any, worker: Any) -> None:
        clean_up(server, worker)
        # The exit code tells gunicorn that a worker could not start.
        if worker.booted:
            multiprocessing.util._run_finalizers()  # type: ignore[attr-defined]
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    gunicorn_config.worker_exit = worker_exit
