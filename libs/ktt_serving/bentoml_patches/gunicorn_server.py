"""BentoML's gunicorn servers: where they listen, and how their workers end."""

from __future__ import annotations

import multiprocessing.util
import os
import sys
from typing import Any

__all__ = ["end_workers_at_once", "listen_on"]

_LOOPBACK = "127.0.0.1"


def listen_on(host: str, port: int) -> None:
    """Have the one process that clients ask listen there, and those behind it on loopback."""
    from gunicorn.config import Config

    assign = Config.set

    def listen_there(self: Any, name: str, value: Any) -> None:
        # BentoML has no option for it: it binds all addresses.
        if name == "bind":
            own = str(value).rpartition(":")[2]
            value = f"{host if own == str(port) else _LOOPBACK}:{own}"
        assign(self, name, value)

    Config.set = listen_there


def end_workers_at_once() -> None:
    """Have worker processes end where their work does."""
    from bentoml.server import gunicorn_config

    clean_up = gunicorn_config.worker_exit

    def worker_exit(server: Any, worker: Any) -> None:
        clean_up(server, worker)
        # One that could not start tells gunicorn so by its exit code.
        if worker.booted:
            multiprocessing.util._run_finalizers()  # type: ignore[attr-defined]
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    gunicorn_config.worker_exit = worker_exit
